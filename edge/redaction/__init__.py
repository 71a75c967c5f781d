"""Redaction: what names a person, an account or a secret is found in a text and replaced.

The core knows of no gateway: text and rules in, findings and redacted text out. Heavy imports wait until a detector
is made.
"""

from edge.redaction.detector import Detector
from edge.redaction.entities import NoModel
from edge.redaction.findings import Detection, Finding, merge_overlapping
from edge.redaction.recogniser import BadPattern, TooSlow
from edge.redaction.redact import Placeholders, hide
from edge.redaction.rules import ModelFile, OwnPattern, Rules
from edge.redaction.streaming import PlaceholderBuffer, Reach, StreamBuffer, TooLong

__all__ = [
    "BadPattern",
    "Detection",
    "Detector",
    "Finding",
    "ModelFile",
    "NoModel",
    "OwnPattern",
    "PlaceholderBuffer",
    "Placeholders",
    "Reach",
    "Rules",
    "StreamBuffer",
    "TooLong",
    "TooSlow",
    "hide",
    "merge_overlapping",
]
