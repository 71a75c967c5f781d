"""Stops: people stop a workload, and gateways refuse it until two people have asked for the restart."""

from edge.stops.stop import DEFAULT_MESSAGE, MOST_MESSAGE, Stop, is_message
from edge.stops.watch import StopWatch

__all__ = ["DEFAULT_MESSAGE", "MOST_MESSAGE", "Stop", "StopWatch", "is_message"]
