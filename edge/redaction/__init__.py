"""Redaction: what names a person, an account or a secret is found in a text and replaced.

The core knows of no gateway: text and rules in, findings and redacted text out. Heavy imports wait until a detector
is made.
"""

from edge.redaction.detector import Detector
from edge.redaction.entities import NoModel
from edge.redaction.findings import Detection, Finding, apart
from edge.redaction.recogniser import BadPattern, TooSlow
from edge.redaction.redact import Placeholders, hidden
from edge.redaction.rules import ModelFile, OwnPattern, Rules
from edge.redaction.streaming import Held, Placeholding, Reach, TooLong

__all__ = [
    "BadPattern",
    "Detection",
    "Detector",
    "Finding",
    "Held",
    "ModelFile",
    "NoModel",
    "OwnPattern",
    "Placeholders",
    "Placeholding",
    "Reach",
    "Rules",
    "TooLong",
    "TooSlow",
    "apart",
    "hidden",
]
