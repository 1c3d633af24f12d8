"""Devices: what each kind can do (`protocols`), and the drivers that do it."""
