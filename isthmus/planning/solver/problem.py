"""The problem that the planner solves: its choices, constraints and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from isthmus.planning.options.option import Column, OnApi, Option, Options

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements


@dataclass(frozen=True)
class Choice:
    """A workload's option, and optionally an API that takes the load above a part of the peak."""

    option: Option
    overflow: OnApi | None = None
    part: float = 1.0
    """Part of the peak that the option carries, 0 to 1."""
    share: float = 0.0
    """Part of the month's requests that overflow."""

    @property
    def monthly(self) -> float:
        """USD a month of tokens and data. GPUs are counted by replica instead."""
        return sum(option.monthly * share for option, share, _ in self.parts)

    @property
    def parts(self) -> Iterator[tuple[Option, float, float]]:
        """Each option with its share of the month's requests and of the peak."""
        yield self.option, 1.0 - self.share, self.part
        if self.overflow is not None:
            yield self.overflow, self.share, 1.0 - self.part


@dataclass(frozen=True)
class CrowdedEndpoint:
    """An endpoint whose workloads need more replicas together than the sum of their separate needs."""

    column: Column
    parts: Mapping[str, float]
    """By workload, the part of its peak that it puts there."""
    need: int
    """Replicas."""


@dataclass(frozen=True)
class Solution:
    """The cheapest plan, or the best within the near tie."""

    choices: Mapping[str, Choice]
    replicas: Mapping[Column, int]
    cost: float
    """USD a month."""
    least: float
    """The cost of the cheapest plan."""
    gap: float
    """Share of the cost by which a cheaper plan may exist, with any of the options."""
    large: bool = False
    """The program has more than `SMALL_PROGRAM` choices, so a gap was accepted from the start."""


@dataclass(frozen=True)
class LikelyChoices:
    """The promising choices of a large problem, by its relaxation."""

    bound: float
    """USD a month. No plan of the problem costs less."""
    choices: Mapping[str, list[Choice]]
    """By workload."""
    plan: Solution | None
    """The best plan that the relaxation found; None if it found none."""


@dataclass
class Problem:
    """The problem. `cuts` exclude replica counts that do not fit on nodes; `crowds` require more for sharing."""

    requirements: Requirements
    options: Options
    stay: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By workload: model and place in the existing plan, which stay at equal cost."""
    cuts: list[dict[Column, int]] = field(default_factory=list)
    crowds: list[CrowdedEndpoint] = field(default_factory=list)
    keep: Mapping[str, Choice] = field(default_factory=dict)
    """Choices that are fixed while the rest of a large program is solved again."""
    least_only: bool = False
    """Find only the least cost, without the near tie, within a gap of 2 %."""
    most_gpus: int | None = None
    """Most GPUs that the blueprint supports."""
    likely: LikelyChoices | None = None
    """Of a large problem, once they are found."""

    @property
    def held(self) -> frozenset[str]:
        """Pools whose number of GPUs is ignored, as `SITE/GPU`."""
        return frozenset(owner for owner, demand in self.options.rules.dropped if demand == "gpus")

    def quotas(self, site: str) -> bool:
        """Whether the quotas of the site's account apply."""
        return self.options.rules.holds(site, "quotas")
