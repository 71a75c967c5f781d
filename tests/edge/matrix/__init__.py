"""Every class of data against every way to go wrong: `python -m tests.edge.matrix` prints it as a table."""
