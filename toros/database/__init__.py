"""The database: file batches, exposures, combinations, steps and work orders."""
