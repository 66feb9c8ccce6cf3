"""Which statements a build has to run, and for which keys."""
