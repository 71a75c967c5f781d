"""The problem that the planner solves: its choices and what they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from isthmus.planning.options.option import Column, OnApi, Option, Options

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements


@dataclass(frozen=True)
class Choice:
    """What a workload takes: an option, and what of its load goes on to an API above a part of the peak."""

    option: Option
    overflow: OnApi | None = None
    part: float = 1.0
    """Part of the peak that the option carries."""
    share: float = 0.0
    """Part of the month's requests that overflow."""

    @property
    def monthly(self) -> float:
        """USD of tokens and of data; GPUs are counted by replica."""
        return sum(option.monthly * share for option, share, _ in self.parts)

    @property
    def parts(self) -> Iterator[tuple[Option, float, float]]:
        """Each option, with its part of the month's requests and of the peak."""
        yield self.option, 1.0 - self.share, self.part
        if self.overflow is not None:
            yield self.overflow, self.share, 1.0 - self.part


@dataclass(frozen=True)
class Crowd:
    """Workloads that need more replicas together than the sum of what each needs alone."""

    column: Column
    parts: Mapping[str, float]
    """By workload, the part of its peak that it puts there."""
    need: int
    """Replicas."""


@dataclass
class Problem:
    """What is solved; `cuts` are added where replicas do not pack, `crowds` where they are too few for a mixture."""

    requirements: Requirements
    options: Options
    stay: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By workload: the model and place of the plan that is there; at equal cost it stays."""
    cuts: list[dict[Column, int]] = field(default_factory=list)
    crowds: list[Crowd] = field(default_factory=list)
    keep: Mapping[str, Choice] = field(default_factory=dict)
    """What workloads take already: of a large program the rest is solved again without them."""
    least_only: bool = False
    """The least cost is enough, no near tie; a fiftieth of it is left open."""
    most_gpus: int | None = None
    """GPUs that the blueprint is made for at most."""

    @property
    def held(self) -> frozenset[str]:
        """Pools whose number of GPUs does not hold, by `SITE/GPU`."""
        return frozenset(whose for whose, what in self.options.rules.dropped if what == "gpus")

    def quotas(self, site: str) -> bool:
        """Whether the quotas of a site's account hold."""
        return self.options.rules.holds(site, "quotas")
