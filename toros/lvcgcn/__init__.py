"""The alert robot: from a notice to every observatory's target list."""
