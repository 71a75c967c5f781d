"""Proposes parts of requirements from what exists: pools from a cluster's nodes, traffic from an export of usage."""
