"""The trend of weekly requests: a straight line through their logarithms, with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from isthmus.contracts.reports.measured_traffic import Trend

LEAST_WEEKS = 6
MOST_WEEKS = 26
_T_975 = (
    *(2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145),
    *(2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064),
)
"""97.5th percentile of Student's t for 4, 5, … 24 degrees of freedom: weeks less two."""


def trend_of(weeks: Sequence[int]) -> Trend | None:
    """Return the change a week, from 6 to 26 weeks, the oldest first. None: fewer weeks, or one without requests.

    The interval takes the weeks' deviations from the line as independent.
    """
    count = len(weeks)
    if count < LEAST_WEEKS or not all(weeks):
        return None
    logs = [math.log(week) for week in weeks]
    middle, mean = (count - 1) / 2, math.fsum(logs) / count
    squares = math.fsum((index - middle) ** 2 for index in range(count))
    slope = math.fsum((index - middle) * log for index, log in enumerate(logs)) / squares
    rest = math.fsum((log - mean - slope * (index - middle)) ** 2 for index, log in enumerate(logs))
    spread = _T_975[count - LEAST_WEEKS] * math.sqrt(rest / (count - 2) / squares)
    return Trend(
        pct_per_week=_per_cent(slope),
        low=_per_cent(slope - spread),
        high=_per_cent(slope + spread),
        weeks=count,
    )


def _per_cent(slope: float) -> float:
    return round(math.expm1(slope) * 100, 3)
