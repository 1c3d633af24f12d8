"""Sky maps: reading, credible regions, fetching."""
