"""The telescope: the night, its plan, its exposures."""
