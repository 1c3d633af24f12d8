"""The dome: closing depends on nothing but its driver and its weather."""
