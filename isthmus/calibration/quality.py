"""What a curve is worth, on judged answers that it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from edge.confidence.calibration import Curve
from edge.intervals import wilson
from isthmus.calibration.intervals import upper
from isthmus.calibration.judged_answers import Answer
from isthmus.contracts.reports.calibration import Bin, Candidate

CONFIDENCE = 0.95
_BINS, _LEAST_IN_A_BIN = 10, 30
_CANDIDATES = 20
_DRAWS, _AT_ONCE = 500, 100


class Scored:
    """Judgements with scores, each of an answer."""

    def __init__(self, answers: Sequence[Answer], scores: Sequence[Sequence[float]]) -> None:
        self.scores = np.array([score for answer_scores in scores for score in answer_scores])
        self.rights = np.array([right for answer in answers for right in answer.rights], dtype=float)
        of_answer = np.repeat(np.arange(len(answers)), [len(answer.rights) for answer in answers])
        count = len(self.scores)
        bins = max(1, min(_BINS, count // _LEAST_IN_A_BIN))
        order = np.argsort(self.scores, kind="stable")
        self._bin = np.empty(count, dtype=int)
        self._edges = [round(count * edge / bins) for edge in range(bins + 1)]
        for number, (first, last) in enumerate(pairwise(self._edges)):
            self._bin[order[first:last]] = number
        # By answer and bin: how far what was right lies above the scores.
        self._excess = np.zeros((len(answers), bins))
        np.add.at(self._excess, (of_answer, self._bin), self.rights - self.scores)

    def bins(self) -> list[Bin]:
        """Judgements of neighbouring scores, as many in each."""
        bins = []
        for number in range(self._excess.shape[1]):
            mine = self._bin == number
            right, count = int(self.rights[mine].sum()), int(mine.sum())
            low, high = wilson(right, count)
            bins.append(Bin(float(self.scores[mine].mean()), right / count, low, high, count))
        return bins

    def error(self) -> float:
        """The expected calibration error: how far score and share of right ones lie apart, by judgement.

        Binned, even a perfect calibration shows one, since each bin's share strays by chance: of each bin's square its
        variance is taken off.
        """
        sums = self._excess.sum(axis=0)
        excess = np.sqrt(np.maximum(0, sums**2 - (self._excess**2).sum(axis=0)))
        return float(excess.sum() / len(self.scores))

    def error_with_interval(self, sha256: str, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
        """The error, and an interval that holds the true one in at least so many cases.

        `sha256`: digest of the answers. The same answers give the same interval.

        What the bins show and what is true lie no further apart than all bins stray together; how far that is, signs
        drawn for each answer tell (the wild bootstrap, an answer's fields together).
        """
        random, strayed = np.random.default_rng(int(sha256[:8], 16)), []
        for _ in range(_DRAWS // _AT_ONCE):
            signs = random.integers(0, 2, size=(_AT_ONCE, len(self._excess)), dtype=np.int8) * 2.0 - 1.0
            strayed.append(np.abs(signs @ self._excess).sum(axis=1))
        most = float(np.quantile(np.concatenate(strayed), confidence)) / len(self.scores)
        shown = float(np.abs(self._excess.sum(axis=0)).sum()) / len(self.scores)
        low, high = max(0.0, shown - most), min(1.0, shown + most)
        return max(low, self.error()), low, high


def scored_by(curve: Curve, answers: Sequence[Answer]) -> Scored:
    """The judgements of these answers with the scores of a curve."""
    return Scored(answers, [[curve.score(measure) for measure in answer.measures] for answer in answers])


def lowest_scores(curve: Curve, answers: Sequence[Answer]) -> np.ndarray:
    """Each answer's score as the edge gives it: the lowest of its fields."""
    return np.array([min(map(curve.score, answer.measures)) for answer in answers])


def threshold_candidates(curve: Curve, fitted: Sequence[Answer], aside: Sequence[Answer]) -> list[Candidate]:
    """Thresholds that let through ever fewer answers (the first all), and how many of those are wrong at most.

    They are chosen by the answers that the curve was fitted to, and tried on the others. Each bound may fail by a part
    of the doubt, so that any of them can be picked afterwards.
    """
    shares = [step / _CANDIDATES for step in range(1, _CANDIDATES)]
    thresholds = sorted({0.0, *map(float, np.quantile(lowest_scores(curve, fitted), shares, method="lower"))})
    scores, wrong = lowest_scores(curve, aside), np.array([not answer.right for answer in aside])
    doubt = (1 - CONFIDENCE) / len(thresholds)
    candidates = []
    for below in thresholds:
        passed = scores >= below
        count, bad = int(passed.sum()), int((passed & wrong).sum())
        candidates.append(Candidate(below, count, bad, upper(bad, count, doubt) if count else 1.0))
    return candidates


def choose_threshold(candidates: Sequence[Candidate], max_error: float) -> Candidate | None:
    """The one that lets through most answers and keeps the rate; None where none does."""
    return next((candidate for candidate in candidates if candidate.error_at_most <= max_error), None)
