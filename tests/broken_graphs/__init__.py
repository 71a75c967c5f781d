"""The functions that break a resource graph, for the tests of policies, of the graph and of the mutation operators."""
