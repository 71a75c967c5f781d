"""What breaks first when more comes than was planned for: a plan's `stress` beside the simulator.

    python -m bench.breaking [COUNT] [SEED]

Each endpoint of a random plan is played intact at growing multiples of its workloads' peak, with the same requests
coming ever closer together, until one of its workloads misses a goal. The endpoint with the least such multiple should
be the one that the plan says breaks first.

A plan's `stress` speaks of what is promised, so of steps at the slow end of the 80 % interval: the simulator plays
those, or else an endpoint of which little is known would be blamed for our not knowing. What the middle of the
interval does is told besides. A plan with one endpoint on GPUs cannot be wrong, and is counted apart.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.replay import plans, played
from isthmus.contracts.plan.document import Plan, PlannedEndpoint
from isthmus.contracts.requirements.document import Requirements
from isthmus.planning.sizing import speed

WANTED = 0.9
FINE = 1.02
"""Up to this factor a breaking multiple is looked for."""
LEAST, MOST = 0.2, 20.0
NOISE = 0.1
"""Closer than that to the first to break, by the logarithm, is a near tie: another seed moved one endpoint's multiple
against another's by 8 % (standard deviation of 108)."""
STEPS = {"the slow end": speed.EIGHTY_PERCENT_DEVIATIONS, "the middle": 0.0}


def breaking(kept: Callable[[float], bool], guess: float) -> float:
    """The least multiple that is not kept, to within `FINE`; at most `MOST`, where more was not tried."""
    low = high = min(max(guess, LEAST * 1.25), MOST / 1.25)
    if kept(low):
        while kept(high):
            low, high = high, high * 1.25
            if high > MOST:
                return MOST
    else:
        while not kept(low):
            low, high = low / 1.25, low
            if low < LEAST:
                return LEAST
    while high / low > FINE:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if kept(middle) else (low, middle)
    return high


@dataclass(frozen=True)
class Compared:
    """One plan, on steps of one end."""

    named: str
    """The endpoint that the plan says breaks first."""
    at: Mapping[str, float]
    """By endpoint: the multiple of the peak at which the simulator breaks it. The named one, and who breaks before;
    empty where one endpoint is all that is on GPUs."""
    promised: bool
    """The plan says that all hold at the stress factor."""
    held: bool
    """And they did."""

    @property
    def first(self) -> str:
        return min(self.at, key=lambda name: (self.at[name], name))

    @property
    def right(self) -> bool:
        """That nothing broke up to `MOST` is no answer, so no fault either."""
        return self.at[self.named] <= self.at[self.first]

    @property
    def near(self) -> bool:
        """The named one breaks so soon after the first that another draw of requests could turn them round."""
        return math.log(self.at[self.named] / self.at[self.first]) <= NOISE


def compare(requirements: Requirements, plan: Plan, seed: int, deviations: float) -> Compared | None:
    """None where nothing runs on GPUs."""
    on_gpus = [each for each in plan.endpoints if each.replicas]
    stress = plan.stress
    if stress is None or stress.breaks_first is None:
        return None

    def keeper(endpoint: PlannedEndpoint) -> Callable[[float], bool]:
        def kept(times: float) -> bool:
            met = played(
                requirements,
                plan,
                endpoint,
                endpoint.replicas or 0,
                seed,
                times=times,
                deviations=deviations,
            )
            return all(each.kept for each in met)

        return kept

    named = next(each for each in on_gpus if each.id == stress.breaks_first)
    if len(on_gpus) == 1:
        return Compared(named.id, {}, stress.holds, keeper(named)(stress.factor))
    at = {named.id: breaking(keeper(named), _guess(named))}
    for each in on_gpus:
        # Who carries what broke the named one breaks later: when does not matter.
        if each is not named and not keeper(each)(at[named.id]):
            at[each.id] = breaking(keeper(each), at[named.id] / 1.1)
    return Compared(named.id, at, stress.holds, min(at.values()) > stress.factor)


def _guess(endpoint: PlannedEndpoint) -> float:
    told = endpoint.predicted
    return (told.capacity_rps or 0) / told.peak_rps if told is not None and told.peak_rps else 1.0


def summary(compared: Sequence[Compared]) -> list[str]:
    """The figures, in sentences."""
    several = [each for each in compared if each.at]
    right = sum(each.right for each in several)
    near = sum(each.near and not each.right for each in several)
    alone = len(compared) - len(several)
    sure, unsure = ([each for each in compared if each.promised is said] for said in (True, False))
    named = f"{right} of {len(several)} do ({_share(right, len(several))})"
    late = f"{near} more name one that breaks within {NOISE:.0%} of the first"
    return [
        f"{right + alone} of {len(compared)} plans name what breaks first ({_share(right + alone, len(compared))})",
        f"{alone} have one endpoint on GPUs; of those with two or more {named}, and {late}",
        f"{sum(each.held for each in sure)} of {len(sure)} that are said to hold at the stress factor do",
        f"{sum(not each.held for each in unsure)} of {len(unsure)} that are said not to hold at it do not",
    ]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"


def reached(compared: Sequence[Compared]) -> bool:
    """Of the plans that could be wrong; a near tie is no fault."""
    several = [each for each in compared if each.at]
    return sum(each.right or each.near for each in several) >= WANTED * len(several)


def main(words: list[str]) -> int:
    count, seed = (int(each) for each in (*words, *("200", "1")[len(words) :])[:2])
    found: dict[str, list[Compared]] = {name: [] for name in STEPS}
    for number, (requirements, plan) in enumerate(plans(count, seed), 1):
        for name, deviations in STEPS.items():
            each = compare(requirements, plan, seed, deviations)
            if each is None:
                continue
            found[name].append(each)
            if each.at and not each.right:
                at = ", ".join(f"{id} {multiple:.2f}" for id, multiple in sorted(each.at.items()))
                print(f"  {number}, {name}: said {each.named}, was {each.first} ({at})", flush=True)
    for name, compared in found.items():
        print(f"on steps of {name}:")
        for line in summary(compared):
            print(f"  {line}")
    return 0 if reached(found["the slow end"]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
