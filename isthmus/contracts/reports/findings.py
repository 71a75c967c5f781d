"""What a policy finds: the shape that the pack gives and every report takes (`policy[]` of `isthmus preview`)."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from isthmus.contracts.vocabulary import Part

Severity = Literal["critical", "high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")
"""From what stops a change to what is worth a word."""
Verdict = Literal["violated", "undecided"]
"""`undecided`: a value that only a cloud knows, or a part that the pack cannot read. It is no pass."""


class Control(Part):
    """A requirement of a framework that a policy supports."""

    framework: str
    """E.g. `NIST SP 800-53`, `OWASP LLM Top 10`."""
    version: str
    """As the framework calls the edition that was read, e.g. `Rev. 5`, `2026`."""
    id: str


class Silence(Part):
    """A finding that its owner answers for until a day. After it the finding counts again."""

    policy: str
    resource: str
    """Name of the resource, or a pattern of names (`*` and `?`)."""
    owner: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    until: date


class Finding(Part):
    """One policy that one resource, or the stack as a whole, does not keep."""

    policy: str
    """Id, `FAMILY/NAME`, e.g. `data-path/restricted-stays-on-prem`."""
    title: str
    severity: Severity
    verdict: Verdict = "violated"
    supports: list[Control] = []
    stack: str = ""
    urn: str = ""
    """Of the resource; empty where the stack as a whole is meant."""
    resource: str = ""
    """Its name."""
    message: str
    """What is so here, in a sentence."""
    why: str
    fix: str
    """In a line."""
    patch: str = ""
    """What to write in the source, where that is mechanical; for a person to take over, never applied."""
    silenced: Silence | None = None
    """By whom; a silenced finding is shown and does not count."""

    @property
    def family(self) -> str:
        return self.policy.split("/", 1)[0]
