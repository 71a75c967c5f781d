"""Answers the exit question of a pilot, scale, fix or stop, by criteria that were agreed beforehand.

Stop if a stop criterion is met; otherwise scale if all scale criteria are met; otherwise fix. A criterion is met if the
whole range of its figure meets it, not met if none of the range does, and open otherwise. Where open criteria could
change the answer, the answer is not known yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from isthmus.contracts.reports.value import Answer, CriterionResult, Outcome, PilotExit
from isthmus.value.words import MEASURES, show

if TYPE_CHECKING:
    from isthmus.contracts.reports.value import Range, ValueFigure
    from isthmus.contracts.requirements.value import Criterion, Pilot

_THREE = {"met": True, "not met": False, "open": None}


def exit_of(pilot: Pilot, days: int, figures: Mapping[str, ValueFigure]) -> PilotExit:
    """Return the answer, with each criterion and its reason. `figures`: by measure."""
    results = [
        *(_result("scale", criterion, figures[criterion.measure]) for criterion in pilot.scale),
        *(_result("stop", criterion, figures[criterion.measure]) for criterion in pilot.stop),
    ]
    scale = [result for result in results if result.rule == "scale"]
    stop = [result for result in results if result.rule == "stop"]
    possible = _possible(_all(scale), _any(stop))
    too_early = days < pilot.min_days
    answer: Answer = possible[0] if len(possible) == 1 and not too_early else "not known yet"
    if too_early:
        because = [
            f"the usage has {days} days, and at least {pilot.min_days} were agreed before anything is decided"
        ]
    else:
        because = list(_reasons(answer, scale, stop))
    return PilotExit(
        answer=answer,
        possible=["scale", "fix", "stop"] if too_early else possible,
        because=because,
        agreed_by=pilot.agreed_by,
        agreed_on=pilot.agreed_on,
        min_days=pilot.min_days,
        criteria=results,
    )


def _possible(scale: bool | None, stop: bool | None) -> list[Answer]:
    """The answers that are possible, from what is known of all scale criteria and of any stop criterion."""
    answers: dict[Answer, bool] = {
        "scale": scale is not False and stop is not True,
        "fix": scale is not True and stop is not True,
        "stop": stop is not False,
    }
    return [answer for answer, is_possible in answers.items() if is_possible]


def _all(results: Sequence[CriterionResult]) -> bool | None:
    values = [_THREE[result.outcome] for result in results]
    return False if False in values else None if None in values else True


def _any(results: Sequence[CriterionResult]) -> bool | None:
    values = [_THREE[result.outcome] for result in results]
    return True if True in values else None if None in values else False


def _reasons(
    answer: Answer, scale: Sequence[CriterionResult], stop: Sequence[CriterionResult]
) -> Iterator[str]:
    if answer == "stop":
        yield from (f"a stop criterion is met: {result.why}" for result in stop if result.outcome == "met")
    elif answer == "scale":
        yield "every scale criterion is met and no stop criterion is"
        yield from (result.why for result in scale)
    elif answer == "fix":
        missed = [result for result in scale if result.outcome == "not met"]
        yield "no stop criterion is met, and a scale criterion is not met"
        yield from (result.why for result in missed)
    else:
        yield from (
            f"the {result.rule} criterion is open: {result.why}"
            for result in (*scale, *stop)
            if result.outcome == "open"
        )


def _result(rule: Literal["scale", "stop"], criterion: Criterion, figure: ValueFigure) -> CriterionResult:
    measure = criterion.measure
    label = MEASURES[measure].label
    if criterion.at_least is not None:
        limit = f"at least {show(measure, criterion.at_least)}"
    else:
        limit = f"at most {show(measure, criterion.at_most)}"
    if figure.range is None:
        outcome: Outcome = "open"
        why = f"{label}: not known, because {figure.why_not_known}; the limit is {limit}"
    else:
        outcome = _outcome(criterion, figure.range)
        span = _span(measure, figure.range)
        verdict = {
            "met": f"all of that is {limit}",
            "not met": f"none of that is {limit}",
            "open": f"only a part of that is {limit}",
        }[outcome]
        why = f"{label}: {span}, and {verdict}"
    return CriterionResult(rule=rule, measure=measure, label=label, limit=limit, outcome=outcome, why=why)


def _span(measure: str, found: Range) -> str:
    low, high = show(measure, found.low), show(measure, found.high)
    return low if low == high else f"{low} to {high}"


def _outcome(criterion: Criterion, found: Range) -> Outcome:
    """An end of None is without bound: a payback that never comes."""
    infinite = float("inf")
    low, high = (infinite if end is None else end for end in (found.low, found.high))
    if criterion.at_least is not None:
        return "met" if low >= criterion.at_least else "not met" if high < criterion.at_least else "open"
    most = infinite if criterion.at_most is None else criterion.at_most
    return "met" if high <= most else "not met" if low > most else "open"
