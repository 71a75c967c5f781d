"""What the product does with an edited platform, and which paths the edit opens."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from pydantic import ValidationError

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.trust import Trust
from isthmus.core.errors import IsthmusError
from isthmus.engine.pull_request import relaxed_trust
from isthmus.engine.render.recorder import Resource
from policies.evaluation.evaluation import blocking_findings, judge
from tests import hosted
from tests.boundary import reach
from tests.boundary.edits import Edit
from tests.components import fargate, platforms
from tests.recording import record

TODAY = date(2026, 11, 29)
PLATFORMS = {"bank": platforms.bank, "fargate": fargate.cloud, "hosted": hosted.platform}
Refusal = Literal["contract", "values", "ci", "component", "rule", ""]
"""Which fence refuses an edit: the platform's own rules, `trust/foreign-values`, the comparison of `isthmus ci`, the
arguments of a component, or a rule that looks at resources."""


@dataclass(frozen=True)
class Outcome:
    """Which fence refuses an edit. Where none does: what the edit opens."""

    refused: Refusal
    opened: list[str] = field(default_factory=list)


def outcome(edit: Edit) -> Outcome:
    """What becomes of an edit. The quick fences are asked first; only what passes them is rendered."""
    try:
        platform = CheckedPlatform.model_validate(edit.apply(PLATFORMS[edit.platform]()))
    except (ValidationError, IsthmusError):
        return Outcome("contract")
    start = base(edit.platform)
    if any(rule == "trust/foreign-values" for rule, _ in findings([], platform)):
        return Outcome("values")
    changes = relaxed_trust.stated_changes(start.platform, platform, Trust(), TODAY)
    if any(change.loosens and change.kind == "trust" for change in changes):
        return Outcome("ci")
    try:
        resources = record(platform).resources
    except IsthmusError:
        return Outcome("component")
    opened = reach.opened(start.resources, resources)
    if opened and start.findings < findings(resources, platform):
        return Outcome("rule")
    return Outcome("", opened)


def opened_by(edit: Edit) -> list[str]:
    """What an edit opens, whether or not a fence refuses it."""
    platform = CheckedPlatform.model_validate(edit.apply(PLATFORMS[edit.platform]()))
    return reach.opened(base(edit.platform).resources, record(platform).resources)


@dataclass(frozen=True)
class Base:
    """A platform without an edit."""

    platform: Platform
    resources: Sequence[Resource]
    findings: frozenset[tuple[str, str]]
    """Rule and message of each blocking finding that it has by itself."""


@functools.cache
def base(name: str) -> Base:
    """The unedited platform of this name, its rendering and its findings."""
    platform = CheckedPlatform.model_validate(PLATFORMS[name]())
    resources = record(platform).resources
    return Base(platform, resources, findings(resources, platform))


def findings(resources: Sequence[Resource], platform: Platform) -> frozenset[tuple[str, str]]:
    """Rule and message of each finding that blocks a change."""
    blocking = blocking_findings(judge(resources, platform, today=TODAY))
    return frozenset((finding.policy, finding.message) for finding in blocking)
