"""Judges a release while it is under way: whether its candidate is worse, as good, or whether that is not known yet."""

from isthmus.releases.evidence import Day, Evidence, Kind
from isthmus.releases.judging import METRICS, Decision, Finding, Metric, Trial, decide
from isthmus.releases.needs import Need, Traffic, need

__all__ = [
    "METRICS",
    "Day",
    "Decision",
    "Evidence",
    "Finding",
    "Kind",
    "Metric",
    "Need",
    "Traffic",
    "Trial",
    "decide",
    "need",
]
