"""Simulated releases: people, days and answers as a workload of 2,000 people might have them. All values are made up.

Each person asks a different number of questions, has an own rate of right answers, and keeps one version at each step.
Days differ, for both versions. A look follows each day; the release moves as soon as it may.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import log

import numpy as np

from edge.canary.judge import Judge
from isthmus.releases import METRICS, Day, Trial, decide
from isthmus.releases.judging import WIDE_PERCENT

COPIES = 2
"""Copies of the gateway, each of which looks after failing canaries by itself."""


@dataclass(frozen=True)
class Scenario:
    """Rates of both versions. Absent for the candidate: as the version in use."""

    right: float = 0.90
    candidate_right: float | None = None
    failed: float = 0.01
    candidate_failed: float | None = None
    slower: float = 1.0
    """Factor on the candidate's latency."""
    people: int = 2000
    requests_a_day: float = 3.0
    """Of a person, on average; a few ask far more."""
    judged: float = 0.5
    """Share of requests whose answer is judged."""
    alike: float = 0.05
    """Correlation of the answers to one person."""
    longest_days: int = 90
    steps: tuple[float, ...] = (1.0, 5.0, 25.0, 50.0, 100.0)
    days_before: int = 14
    """Days on which outcomes were collected before the candidate's first answer."""
    shadow_percent: float = 0.0
    """Share of requests that a shadow answers, too, before the first step."""
    shadow_days: int = 0


LARGE = Scenario(people=8000, requests_a_day=2.0, judged=0.2)
"""A workload of many people who ask little."""
SHADOWED = Scenario(shadow_percent=20, shadow_days=10, steps=(1.0, 15.0, 25.0, 50.0, 100.0))
"""A workload of few people, whose candidate answers in a shadow first. 5 % of them are too few to show failures."""


@dataclass(frozen=True)
class End:
    """How a release ended."""

    outcome: str
    """`done`, `aborted` or `undecided`."""
    percent: float
    """The largest share that it reached."""
    days: int
    judged: int
    """Judged answers of the candidate when it took the first wide step, or at the end."""
    why: str = ""


def run(scenario: Scenario, seed: int, *, with_detector: bool = True) -> End:
    """One release."""
    return _Release(scenario, np.random.default_rng(seed), with_detector=with_detector).run()


def ends(scenario: Scenario, releases: int, *, with_detector: bool = True) -> list[End]:
    """So many releases, one a seed."""
    return [run(scenario, seed, with_detector=with_detector) for seed in range(releases)]


def summary(found: list[End]) -> dict[str, float]:
    """Shares of the outcomes."""
    outcomes = Counter(end.outcome for end in found)
    return {name: count / len(found) for name, count in sorted(outcomes.items())}


class _Release:
    def __init__(self, scenario: Scenario, random: np.random.Generator, *, with_detector: bool) -> None:
        self._scenario, self._random = scenario, random
        people = scenario.people
        self._activity = random.gamma(0.7, scenario.requests_a_day / 0.7, people)
        self._place = random.random(people) * 100
        self._skill = self._rates(scenario.right)
        self._guard = self._rates(0.02)
        self._failing = self._rates(scenario.failed)
        self._candidate_failing = self._rates(scenario.candidate_failed or scenario.failed)
        self._pace = np.exp(random.normal(0, 0.3, people))
        self._trials = {name: Trial(metric, people) for name, metric in METRICS.items()}
        self._detectors = [Judge() for _ in range(COPIES)] if with_detector else []
        self._requests = 0

    def _rates(self, mean: float) -> np.ndarray:
        strength = 1 / self._scenario.alike - 1
        return self._random.beta(mean * strength, (1 - mean) * strength, self._scenario.people)

    def run(self) -> End:
        scenario, step, judged, moved = self._scenario, 0, 0, True
        steps = scenario.steps
        for _ in range(scenario.days_before):
            self._day(0.0, is_shadow=False)
        for day in range(1, scenario.longest_days + 1):
            is_shadow = day <= scenario.shadow_days
            if moved and not is_shadow:  # the day of a move is left out
                moved = False
                continue
            if self._day(0.0 if is_shadow else steps[step], is_shadow=is_shadow):
                return End("aborted", steps[step], day, judged, "the gateway stopped it")
            findings = [trial.finding for trial in self._trials.values()]
            if steps[step] < WIDE_PERCENT:
                judged = self._trials["judged"].finding.answers
            if is_shadow:
                if any(finding.verdict == "worse" for finding in findings):
                    return End("aborted", 0.0, day, judged, "shadow")
                continue
            decision = decide(findings, self._requests, steps[step + 1])
            if decision.action == "abort":
                return End("aborted", steps[step], day, judged, decision.reasons[0])
            if decision.action == "continue":
                step, self._requests, moved = step + 1, 0, True
                if steps[step] == 100.0:
                    return End("done", 100.0, day, judged)
        return End("undecided", steps[step], scenario.longest_days, judged)

    def _day(self, percent: float, *, is_shadow: bool) -> bool:
        """Add a day's answers. Returns whether the gateway stopped the canary."""
        scenario, random = self._scenario, self._random
        busy = random.uniform(0.6, 1.3)
        count = random.poisson(self._activity * busy)
        on_candidate = self._place < percent
        harder = random.normal(0, 0.01)
        right = np.clip(self._skill + harder, 0, 1)
        lost = (scenario.candidate_right or scenario.right) - scenario.right
        candidate_right = np.clip(right + lost, 0, 1)
        judged = random.binomial(count, scenario.judged)
        if is_shadow:
            mirrored = random.binomial(judged, scenario.shadow_percent / 100)
            self._trials["judged"].add(
                Day(
                    judged,
                    random.binomial(judged, right),
                    mirrored,
                    random.binomial(mirrored, candidate_right),
                )
            )
            return False
        answers = random.binomial(judged, np.where(on_candidate, candidate_right, right))
        self._add("judged", judged, answers, on_candidate)
        failed = random.binomial(count, np.where(on_candidate, self._candidate_failing, self._failing))
        self._add("failed", count, failed, on_candidate)
        self._add("guard_refused", count, random.binomial(count, self._guard), on_candidate)
        self._add("score", count, random.binomial(count, 0.8), on_candidate)
        pace = self._pace * np.where(on_candidate, scenario.slower, 1.0)
        whose = np.repeat(np.arange(len(count)), count)
        times = np.exp(random.normal(log(2000), 0.7, len(whose))) * pace[whose]
        self._add("latency", count, np.bincount(whose, times, minlength=len(count)), on_candidate)
        self._requests += int(count[on_candidate].sum())
        return self._detects(count, failed, on_candidate)

    def _add(self, name: str, count: np.ndarray, values: np.ndarray, on_candidate: np.ndarray) -> None:
        in_use = ~on_candidate
        day = Day(count * in_use, values * in_use, count * on_candidate, values * on_candidate)
        self._trials[name].add(day)

    def _detects(self, count: np.ndarray, failed: np.ndarray, on_candidate: np.ndarray) -> bool:
        """Let each copy of the gateway see its requests of the day, in a random order."""
        requests, failures = int(count[on_candidate].sum()), int(failed[on_candidate].sum())
        others, others_failed = int(count.sum()) - requests, int(failed.sum()) - failures
        for judge_of_copy in self._detectors:
            for ended, of, note in (
                (others_failed, others, judge_of_copy.note_in_use),
                (failures, requests, judge_of_copy.note_canary),
            ):
                share = of // COPIES
                marks = np.zeros(share, dtype=bool)
                marks[: self._random.binomial(ended, 1 / COPIES) if share else 0] = True
                for mark in self._random.permutation(marks).tolist():
                    if note(failed=mark):
                        return True
        return False
