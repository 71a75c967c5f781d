"""Moves the release of a workload's canary at the gateways of a stack, and says where it stands."""
