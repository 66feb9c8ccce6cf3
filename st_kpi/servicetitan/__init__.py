"""The source: which entities ServiceTitan has, how each is asked for, and what its records look like."""
