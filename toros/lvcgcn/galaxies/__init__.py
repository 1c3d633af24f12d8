"""The galaxy catalogue: columns on disk in the order of the sky, and how they are made."""
