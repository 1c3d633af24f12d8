"""The commands: ``toros`` and ``toros-submit``."""
