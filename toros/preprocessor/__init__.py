"""The preprocessor: from a batch of raw files to calibrated images."""
