"""A workload's canary: who gets it, when it is stopped, and how every copy of a gateway knows."""

from edge.canary.watch import CanaryWatch

__all__ = ["CanaryWatch"]
