"""Findings of policies: the policy pack creates them, and all reports show them (`policy[]` of `isthmus preview`)."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from isthmus.contracts.vocabulary import Part

Severity = Literal["critical", "high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")
"""The most severe first."""
Verdict = Literal["violated", "undecided"]
"""`undecided`: the policy needs a value that is not known before deployment, or a part that it cannot read. This is
not a pass."""


class Control(Part):
    """A requirement of a framework that a policy supports."""

    framework: str
    """For example `NIST SP 800-53` or `OWASP LLM Top 10`."""
    version: str
    """Edition of the framework in its own words, for example `Rev. 5` or `2026`."""
    id: str


class Silence(Part):
    """A finding that its owner accepts until a date. After that date the finding counts again."""

    policy: str
    resource: str
    """Name of the resource, or a pattern of names (`*` and `?`)."""
    owner: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    until: date


class Finding(Part):
    """A violation of one policy by one resource, or by the stack as a whole."""

    policy: str
    """Policy id, `FAMILY/NAME`, for example `data-path/restricted-stays-on-prem`."""
    title: str
    severity: Severity
    verdict: Verdict = "violated"
    supports: list[Control] = []
    stack: str = ""
    urn: str = ""
    """URN of the resource. Empty: the finding is about the whole stack."""
    resource: str = ""
    """Name of the resource."""
    message: str
    """What is wrong with this resource, as one sentence."""
    why: str
    fix: str
    """How to fix it, in one line."""
    patch: str = ""
    """Suggested change of the source, if one can be derived. A person applies it; Isthmus never does."""
    silenced: Silence | None = None
    """The silence that applies. A silenced finding is shown but does not count."""

    @property
    def family(self) -> str:
        return self.policy.split("/", 1)[0]
