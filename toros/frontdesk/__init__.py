"""What makes a process a daemon: its front desk, its worker, its server, its life."""
