"""What the benchmark of the alert robot is made of."""
