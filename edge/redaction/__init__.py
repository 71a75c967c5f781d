"""Finds and replaces what identifies a person, an account or a secret in a text.

The package does not know the gateway: it takes text and rules, and gives findings and redacted text. Heavy libraries
are imported when a detector is created.
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
