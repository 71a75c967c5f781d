"""Raises `survive` of workloads that miss `slo.availability`, and plans again where that can reach the goal.

The number of plans is bounded, and the same requirements give the same steps. `survive` of the requirements is a
minimum. A raised level that does not reach the goal is taken back, because it would cost money for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from isthmus.contracts.vocabulary import SURVIVES
from isthmus.planning.availability import model
from isthmus.planning.availability.model import Path
from isthmus.planning.catalogues.failure_modes import FailureMode

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements, Workload
    from isthmus.contracts.vocabulary import Survive

MOST_PLANS = 10
"""Plans that are made at most, after the first."""
MOST_LARGE_PLANS = 2
"""The same, of a program so large that one plan takes many seconds."""

Made = TypeVar("Made")

Levels = Mapping[str, "Survive"]
"""By workload: a raised `survive`."""


@dataclass(frozen=True)
class Attempt(Generic[Made]):
    """A plan with the paths of its workloads that state a goal."""

    made: Made
    paths: Mapping[str, Path]


@dataclass(frozen=True)
class Raised(Generic[Made]):
    """The plan that the goals lead to."""

    attempt: Attempt[Made]
    levels: Levels
    """What was raised."""
    blocked: Levels
    """By workload: the level that would reach the goal, but for which no plan was found."""
    useless: Mapping[str, tuple[Survive, float]]
    """By workload: a level that was tried and taken back, and the availability that it gave."""


def with_levels(requirements: Requirements, levels: Levels) -> Requirements:
    """Return the requirements with `survive` of the named workloads replaced. The digest stays."""
    workloads = [
        workload.model_copy(update={"survive": levels[workload.name]})
        if workload.name in levels
        else workload
        for workload in requirements.workloads
    ]
    return requirements.model_copy(update={"workloads": workloads})


def meets(path: Path, goal: float) -> bool:
    """Whether the availability that the plan shows reaches the goal."""
    return model.rounded_down(model.availability(path)) >= goal


def levels_that_help(path: Path, goal: float, current: Survive) -> list[Survive]:
    """Return the levels above `current` that could reach the goal, the lowest first.

    A level could if the goal is met when no failure up to that level happens, except by a common cause.
    """
    if not path.replicas:
        return []
    above = SURVIVES[SURVIVES.index(current) + 1 :]
    return [level for level in above if meets(outlived(path, level), goal)]


def outlived(path: Path, level: Survive) -> Path:
    """Return the path as if the failures that `level` survives happened by a common cause only."""
    depth = SURVIVES.index(level)

    def common_only(mode: FailureMode) -> FailureMode:
        return replace(mode, rate_per_year=mode.rate_per_year * mode.common_cause, common_cause=1.0)

    groups = [
        replace(
            group,
            replica=common_only(group.replica),
            node=common_only(group.node) if depth >= SURVIVES.index("node") else group.node,
            domain=common_only(group.domain) if depth >= SURVIVES.index("domain") else group.domain,
        )
        for group in path.replicas
    ]
    return replace(path, replicas=tuple(groups))


@dataclass
class _Search(Generic[Made]):
    """The state of one search."""

    workloads: Mapping[str, Workload]
    """Those that state a goal."""
    solve: Callable[[Levels], Attempt[Made] | None]
    plans_left: int
    attempt: Attempt[Made]
    levels: dict[str, Survive] = field(default_factory=dict)
    blocked: dict[str, Survive] = field(default_factory=dict)

    def try_levels(self, levels: Mapping[str, Survive]) -> bool:
        """Plan with these levels, and keep the plan if there is one."""
        if self.plans_left <= 0:
            return False
        self.plans_left -= 1
        attempt = self.solve(levels)
        if attempt is None:
            return False
        self.attempt, self.levels = attempt, dict(levels)
        return True

    def misses(self, name: str) -> bool:
        return not meets(self.attempt.paths[name], _goal(self.workloads[name]))

    def next_levels(self) -> dict[str, Survive]:
        """Return the next level of each workload that misses its goal and may still reach it."""
        result: dict[str, Survive] = {}
        for name, workload in self.workloads.items():
            if name in self.blocked or not self.misses(name):
                continue
            current = self.levels.get(name, workload.survive)
            helping = levels_that_help(self.attempt.paths[name], _goal(workload), current)
            if helping:
                result[name] = helping[0]
        return result

    def raise_together_or_singly(self, levels: Mapping[str, Survive]) -> None:
        """Raise all at once; if no plan has that, one after the other in the order of the requirements."""
        if self.try_levels({**self.levels, **levels}):
            return
        for name, level in levels.items():
            if len(levels) == 1 or not self.try_levels({**self.levels, name: level}):
                self.blocked[name] = level


def raise_survive(
    requirements: Requirements,
    first: Attempt[Made],
    solve: Callable[[Levels], Attempt[Made] | None],
    *,
    large: bool = False,
) -> Raised[Made]:
    """Return the plan in which workloads survive more where that makes them reach `slo.availability`.

    `first` is the plan of the requirements. `solve` plans with raised levels; None if no plan has them. `large`: a plan
    takes long, so fewer are made.
    """
    workloads = {
        workload.name: workload
        for workload in requirements.workloads
        if workload.slo.availability is not None
    }
    search = _Search(workloads, solve, MOST_LARGE_PLANS if large else MOST_PLANS, first)
    while levels := search.next_levels():
        search.raise_together_or_singly(levels)
    useless: dict[str, tuple[Survive, float]] = {
        name: (level, model.availability(search.attempt.paths[name]))
        for name, level in search.levels.items()
        if search.misses(name)
    }
    if useless:
        kept: dict[str, Survive] = {
            name: level for name, level in search.levels.items() if name not in useless
        }
        search.plans_left = 1
        if not kept:
            search.attempt, search.levels = first, {}
        else:
            search.try_levels(kept)
    return Raised(search.attempt, search.levels, search.blocked, useless)


def _goal(workload: Workload) -> float:
    return workload.slo.availability or 0.0
