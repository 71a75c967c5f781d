"""Finds the price or the load at which another place is chosen for a workload, by a bounded search.

Each value that is tried is planned again, with the planner's own objective. The search is coarse first and then halves
the interval, so a choice that changes and changes back between two coarse values is not seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from isthmus.contracts.reports.explanation import TurningPoint
from isthmus.planning.explanation.priced import Priced, price_of
from isthmus.planning.explanation.solving import Case, hardware_identity, identity, place_of
from isthmus.planning.sizing.rounding import three_digits

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements, Workload
    from isthmus.planning.options.option import Option

UPWARD = (1.5, 2.0, 3.0, 4.0)
"""Multiples of today's value that are tried; downward, their inverses."""
PRECISION = 1.02
"""The search ends when the bounds of the turning point are within this factor."""


def find_turning_points(case: Case, workload: Workload, runner_up: Option | None) -> list[TurningPoint]:
    """Return what would change the choice: the price of the chosen place and of the runner-up, and the load."""
    chosen = case.chosen.option(workload.name)
    if not _has_alternative(case, workload.name, chosen):
        return []
    by_hardware = runner_up is not None and identity(runner_up) == identity(chosen)
    same = hardware_identity if by_hardware else identity
    search = _Search(case, workload.name, same(chosen), same)
    points: list[TurningPoint] = []
    price = price_of(case.requirements, chosen)
    if price is not None:
        points.append(_price_point(search, price, "price", UPWARD))
    other = price_of(case.requirements, runner_up) if runner_up is not None else None
    if other is not None and (price is None or other.what != price.what):
        points.append(_price_point(search, other, "runner-up price", _inverses()))
    points += [_load_point(search, workload, factors) for factors in (UPWARD, _inverses())]
    return points


def _has_alternative(case: Case, name: str, chosen: Option) -> bool:
    options = case.options.by_workload[name]
    return any(hardware_identity(option) != hardware_identity(chosen) for option in options)


def _inverses() -> tuple[float, ...]:
    return tuple(1 / factor for factor in UPWARD)


class _Search:
    """Tries values, and says what is chosen there for one workload."""

    def __init__(
        self, case: Case, name: str, chosen: tuple[str, ...], same: Callable[[Option], tuple[str, ...]]
    ) -> None:
        self.case, self.name = case, name
        self._chosen, self._same = chosen, same

    def at(self, requirements: Requirements) -> Option | Literal["chosen"] | None:
        """The other option that is chosen with the requirements, `chosen` for the same, None for no plan."""
        solved = self.case.solve(requirements)
        if solved is None:
            return None
        option = solved.option(self.name)
        return "chosen" if self._same(option) == self._chosen else option

    def first_change(
        self, vary: Callable[[float], Requirements], factors: tuple[float, ...]
    ) -> tuple[float, Option | None] | None:
        """Return the first factor at which something else is chosen, or (with None) at which no plan is feasible.

        None: neither happens up to the last factor.
        """
        last = 1.0
        for factor in factors:
            there = self.at(vary(factor))
            if there != "chosen":
                return self._narrow(vary, last, factor, there)
            last = factor
        return None

    def _narrow(
        self, vary: Callable[[float], Requirements], near: float, far: float, there: Option | None
    ) -> tuple[float, Option | None]:
        """Halve the interval between a factor with the chosen place and one without it."""
        while max(near / far, far / near) > PRECISION:
            middle = math.sqrt(near * far)
            at_middle = self.at(vary(middle))
            if at_middle == "chosen":
                near = middle
            else:
                far, there = middle, at_middle
        return far, there


def _price_point(
    search: _Search, price: Priced, of: Literal["price", "runner-up price"], factors: tuple[float, ...]
) -> TurningPoint:
    change = search.first_change(price.scaled, factors)
    return _point(of, price.what, factors, change, price.value)


def _load_point(search: _Search, workload: Workload, factors: tuple[float, ...]) -> TurningPoint:
    def scaled(factor: float) -> Requirements:
        return _with_traffic(search.case.requirements, workload, factor)

    def value(factor: float) -> str:
        return f"a peak of {three_digits(workload.traffic.peak_rps * factor):g} requests a second"

    change = search.first_change(scaled, factors)
    return _point("load", f"the traffic of {workload.name}", factors, change, value)


def _point(
    of: Literal["load", "price", "runner-up price"],
    what: str,
    factors: tuple[float, ...],
    change: tuple[float, Option | None] | None,
    value: Callable[[float], str],
) -> TurningPoint:
    """Return what a search found. `change`: of `_Search.first_change`. `value`: today's value times a factor."""
    last = factors[-1]
    fields = {"of": of, "what": what, "from_factor": min(1.0, last), "to_factor": max(1.0, last)}
    if change is None:
        direction = "up" if last > 1 else "down"
        fields["sentence"] = (
            f"No multiple {direction} to {last:g} times {what} ({value(last)}) changes the choice."
        )
        return TurningPoint.model_validate(fields)
    factor, option = three_digits(change[0]), change[1]
    then = "" if option is None else place_of(option).words
    result = f"{then} is chosen" if then else "no plan is feasible; up to there the choice stays"
    fields |= {"factor": factor, "value": value(factor), "then": then}
    fields["sentence"] = f"At {factor:g} times {what} ({value(factor)}), {result}."
    return TurningPoint.model_validate(fields)


def _with_traffic(requirements: Requirements, workload: Workload, factor: float) -> Requirements:
    traffic = workload.traffic.model_copy(
        update={
            "peak_rps": workload.traffic.peak_rps * factor,
            "mean_rps": workload.traffic.mean_rps * factor,
        }
    )
    changed = workload.model_copy(update={"traffic": traffic})
    return requirements.model_copy(update={"workloads": list(_replaced(requirements, changed))})


def _replaced(requirements: Requirements, changed: Workload) -> Iterator[Workload]:
    for workload in requirements.workloads:
        yield changed if workload.name == changed.name else workload
