"""The parts of the scheduling benchmark: instances, an independent checker, peers."""
