"""Stops and restarts a workload at every gateway of a stack that serves it."""
