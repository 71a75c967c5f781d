"""Every class of data combined with every failure: `python -m tests.edge.matrix` prints the result as a table."""
