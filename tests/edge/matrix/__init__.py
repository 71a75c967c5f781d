"""Every data class with every fault of a request: `python -m tests.edge.matrix` prints the results as a table."""
