"""Compares the endpoint that a plan's `stress` says breaks first with the one that breaks first in the simulator.

    python -m bench.breaking [COUNT] [SEED]

The simulator runs each endpoint of a random plan at growing multiples of its workloads' peak, with the same requests at
shorter intervals, until a workload misses a goal. The endpoint with the smallest multiple should be the one that the
plan names.

The plan's `stress` uses step times at the slow end of the 80 % interval, so the simulator does too. Otherwise the
benchmark would count uncertainty about an endpoint as an error. It also reports results for the middle of the
interval. A plan with one endpoint on GPUs cannot be wrong, so it is counted separately.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.replay import plans, simulate_endpoint
from isthmus.contracts.plan.document import Plan, PlannedEndpoint
from isthmus.contracts.requirements.document import Requirements
from isthmus.planning.sizing import speed

REQUIRED_SHARE = 0.9
SEARCH_FACTOR = 1.02
"""The search for a breaking multiple stops at this precision (a factor)."""
LEAST, MOST = 0.2, 20.0
NOISE = 0.1
"""A smaller distance to the first endpoint, as a logarithm, is a near tie. Another seed moved the multiple of one
endpoint relative to another by 8 % (standard deviation of 108)."""
STEPS = {"the slow end": speed.EIGHTY_PERCENT_DEVIATIONS, "the middle": 0.0}


def breaking_multiple(meets_slo: Callable[[float], bool], start: float) -> float:
    """The smallest multiple that misses the SLO, with precision `SEARCH_FACTOR`. At most `MOST` is tried."""
    low = high = min(max(start, LEAST * 1.25), MOST / 1.25)
    if meets_slo(low):
        while meets_slo(high):
            low, high = high, high * 1.25
            if high > MOST:
                return MOST
    else:
        while not meets_slo(low):
            low, high = low / 1.25, low
            if low < LEAST:
                return LEAST
    while high / low > SEARCH_FACTOR:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if meets_slo(middle) else (low, middle)
    return high


@dataclass(frozen=True)
class Comparison:
    """One plan, with step times of one point of the interval."""

    predicted: str
    """The endpoint that the plan says breaks first."""
    multiples: Mapping[str, float]
    """The multiple of the peak at which each endpoint breaks in the simulator: the predicted endpoint, and those that
    break before it. Empty if the plan has one endpoint on GPUs."""
    predicted_to_hold: bool
    """The plan predicts that all endpoints hold at the stress factor."""
    holds: bool
    """They hold in the simulator."""

    @property
    def breaks_first(self) -> str:
        return min(self.multiples, key=lambda name: (self.multiples[name], name))

    @property
    def is_right(self) -> bool:
        """Also true if no endpoint breaks up to `MOST`."""
        return self.multiples[self.predicted] <= self.multiples[self.breaks_first]

    @property
    def is_near_tie(self) -> bool:
        """Whether the predicted endpoint breaks so soon after the first that another seed could swap them."""
        return math.log(self.multiples[self.predicted] / self.multiples[self.breaks_first]) <= NOISE


def compare(requirements: Requirements, plan: Plan, seed: int, deviations: float) -> Comparison | None:
    """The comparison for a plan, or None if nothing runs on GPUs."""
    on_gpus = [endpoint for endpoint in plan.endpoints if endpoint.replicas]
    stress = plan.stress
    if stress is None or stress.breaks_first is None:
        return None

    def slo_check(endpoint: PlannedEndpoint) -> Callable[[float], bool]:
        def meets_slo(multiple: float) -> bool:
            results = simulate_endpoint(
                requirements,
                plan,
                endpoint,
                endpoint.replicas or 0,
                seed,
                multiple=multiple,
                deviations=deviations,
            )
            return all(workload_result.meets_slo for workload_result in results)

        return meets_slo

    predicted_endpoint = next(endpoint for endpoint in on_gpus if endpoint.id == stress.breaks_first)
    if len(on_gpus) == 1:
        return Comparison(
            predicted_endpoint.id, {}, stress.holds, slo_check(predicted_endpoint)(stress.factor)
        )
    multiples = {
        predicted_endpoint.id: breaking_multiple(slo_check(predicted_endpoint), _guess(predicted_endpoint))
    }
    for endpoint in on_gpus:
        # An endpoint that holds at this multiple breaks later than the predicted one. Its multiple does not matter.
        if endpoint is not predicted_endpoint and not slo_check(endpoint)(multiples[predicted_endpoint.id]):
            multiples[endpoint.id] = breaking_multiple(
                slo_check(endpoint), multiples[predicted_endpoint.id] / 1.1
            )
    return Comparison(predicted_endpoint.id, multiples, stress.holds, min(multiples.values()) > stress.factor)


def _guess(endpoint: PlannedEndpoint) -> float:
    prediction = endpoint.predicted
    return (
        (prediction.capacity_rps or 0) / prediction.peak_rps
        if prediction is not None and prediction.peak_rps
        else 1.0
    )


def summary(comparisons: Sequence[Comparison]) -> list[str]:
    """The figures, as sentences."""
    several = [comparison for comparison in comparisons if comparison.multiples]
    right = sum(comparison.is_right for comparison in several)
    near = sum(comparison.is_near_tie and not comparison.is_right for comparison in several)
    single = len(comparisons) - len(several)
    predicted_to_hold, predicted_to_break = (
        [comparison for comparison in comparisons if comparison.predicted_to_hold is expected]
        for expected in (True, False)
    )
    all_share = _share_text(right + single, len(comparisons))
    several_text = f"{right} of {len(several)} do ({_share_text(right, len(several))})"
    near_text = f"{near} more name one that breaks within {NOISE:.0%} of the first"
    holding = sum(comparison.holds for comparison in predicted_to_hold)
    failing = sum(not comparison.holds for comparison in predicted_to_break)
    return [
        f"{right + single} of {len(comparisons)} plans name what breaks first ({all_share})",
        f"{single} have one endpoint on GPUs; of those with two or more {several_text}, and {near_text}",
        f"{holding} of {len(predicted_to_hold)} that are said to hold at the stress factor do",
        f"{failing} of {len(predicted_to_break)} that are said not to hold at it do not",
    ]


def _share_text(part: int, total: int) -> str:
    return f"{part / total:.1%}" if total else "none"


def enough_are_right(comparisons: Sequence[Comparison]) -> bool:
    """Whether enough of the plans with several endpoints are right. A near tie counts as right."""
    several = [comparison for comparison in comparisons if comparison.multiples]
    return sum(
        comparison.is_right or comparison.is_near_tie for comparison in several
    ) >= REQUIRED_SHARE * len(several)


def main(arguments: list[str]) -> int:
    count, seed = (int(argument) for argument in (*arguments, *("200", "1")[len(arguments) :])[:2])
    comparisons_of: dict[str, list[Comparison]] = {name: [] for name in STEPS}
    for number, (requirements, plan) in enumerate(plans(count, seed), 1):
        for name, deviations in STEPS.items():
            comparison = compare(requirements, plan, seed, deviations)
            if comparison is None:
                continue
            comparisons_of[name].append(comparison)
            if comparison.multiples and not comparison.is_right:
                multiples = ", ".join(
                    f"{id} {multiple:.2f}" for id, multiple in sorted(comparison.multiples.items())
                )
                print(
                    f"  {number}, {name}: said {comparison.predicted}, was {comparison.breaks_first} ({multiples})",
                    flush=True,
                )
    for name, comparisons in comparisons_of.items():
        print(f"on steps of {name}:")
        for line in summary(comparisons):
            print(f"  {line}")
    return 0 if enough_are_right(comparisons_of["the slow end"]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
