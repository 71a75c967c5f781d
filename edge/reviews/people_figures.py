"""Figures of the board by reviewer or by group of reviewers, as far as `desk.people` allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from edge.config.desk import People
from edge.database import Database
from edge.intervals import wilson
from edge.reviews.detection import LEAST_PLANTED, Detection, together
from edge.reviews.people import month_of
from edge.reviews.reviewers import BOARD_SCOPE
from edge.reviews.small_groups import hide_small_groups

MONTHS = 3
"""Months that are shown, with the one that has begun."""
# Of groups, what happened until yesterday: else a figure before and after one act would tell about one person.
_ACTS = f"""
SELECT month, team, person, count(*) FILTER (WHERE NOT planted) AS decisions,
    count(*) FILTER (WHERE NOT planted AND act = 'approve') AS approved,
    count(*) FILTER (WHERE NOT planted AND act = 'correct') AS corrected,
    count(*) FILTER (WHERE NOT planted AND act = 'reject') AS rejected,
    count(*) FILTER (WHERE NOT planted AND act = 'escalate') AS escalated,
    count(detected) AS planted, count(*) FILTER (WHERE detected) AS detected,
    coalesce(sum(took_s) FILTER (WHERE NOT planted), 0)::float8 AS took_s
FROM isthmus.review_person_acts
WHERE {BOARD_SCOPE} AND month >= $6::date - interval '{MONTHS - 1} months' AND ($7 OR at < $8::date)
GROUP BY month, team, person ORDER BY month DESC, team, person
"""  # noqa: S608 (constants)
_WHO_DETECTED = f"""
SELECT DISTINCT domain, month, person FROM isthmus.review_person_acts
WHERE {BOARD_SCOPE} AND detected IS NOT NULL AND at > $6::date - 365
"""  # noqa: S608 (constants)


@dataclass(frozen=True)
class PeopleRow:
    """What a reviewer, or a group of them, did in a month."""

    month: date
    name: str
    """The group, or the pseudonym. Empty: several groups together, which are too small to be shown alone."""
    team: str
    people: int
    decisions: int
    approved: int
    corrected: int
    rejected: int
    escalated: int
    planted: int
    """Decisions on planted answers."""
    detected: int
    took_s: float
    """Seconds from claims to decisions, together."""

    @property
    def mean_s(self) -> float | None:
        """The mean time from the claim to the decision."""
        return self.took_s / self.decisions if self.decisions else None

    @property
    def rate(self) -> float | None:
        """The share that was detected; None of fewer than `LEAST_PLANTED`."""
        return self.detected / self.planted if self.planted >= LEAST_PLANTED else None

    @property
    def bounds(self) -> tuple[float, float] | None:
        return wilson(self.detected, self.planted) if self.planted >= LEAST_PLANTED else None


@dataclass(frozen=True)
class PeopleFigures:
    """The rows that may be shown."""

    setting: People
    rows: list[PeopleRow] = field(default_factory=list)
    hidden: int = 0
    """Groups, month by month, of which nothing is shown."""


async def people_figures(
    database: Database, setting: People, scope: tuple[Any, ...], today: date
) -> PeopleFigures:
    """The figures of people. `scope`: class, site, and what the reader may see. Raises DatabaseDown."""
    if setting == "none":
        return PeopleFigures(setting)
    rows = await database.fetch(_ACTS, *scope, month_of(today), setting == "pseudonymous", today)
    if setting == "pseudonymous":
        return PeopleFigures(setting, [_together([row], row["person"], row["team"]) for row in rows])
    shown: list[PeopleRow] = []
    hidden = 0
    for month in sorted({row["month"] for row in rows}, reverse=True):
        of_month = [row for row in rows if row["month"] == month]
        teams: dict[str, list[str]] = {}
        for row in of_month:
            teams.setdefault(row["team"], []).append(row["person"])
        groups = hide_small_groups(teams)
        hidden += len(groups.hidden)
        shown += [
            _together([row for row in of_month if row["team"] == team], team, team) for team in groups.groups
        ]
        if groups.together:
            shown.append(_together([row for row in of_month if row["team"] in groups.together], "", ""))
    return PeopleFigures(setting, shown, hidden)


async def shown_detection(
    database: Database, setting: People, scope: tuple[Any, ...], today: date, detection: Sequence[Detection]
) -> tuple[list[Detection], int]:
    """Detection by domain as far as the setting allows, and the number of domains of which nothing is shown.

    `aggregate`: a domain needs five people. `none`: all domains together. Raises DatabaseDown.
    """
    if setting == "pseudonymous":
        return list(detection), 0
    if setting == "none":
        return ([together(detection)] if detection else []), 0
    rows = await database.fetch(_WHO_DETECTED, *scope, today)
    # A person has another pseudonym in each month, so only people of one month can be counted: of that with the most.
    months: dict[date, set[str]] = {}
    for row in rows:
        months.setdefault(row["month"], set()).add(row["person"])
    fullest = max(months, key=lambda month: len(months[month]), default=None)
    people = {
        figure.domain: [
            row["person"] for row in rows if (row["domain"], row["month"]) == (figure.domain, fullest)
        ]
        for figure in detection
    }
    groups = hide_small_groups(people)
    shown = [figure for figure in detection if figure.domain in groups.groups]
    if groups.together:
        shown.append(together([figure for figure in detection if figure.domain in groups.together]))
    return shown, len(groups.hidden)


def _together(rows: Sequence[Any], name: str, team: str) -> PeopleRow:
    keys = (
        *("decisions", "approved", "corrected", "rejected", "escalated"),
        *("planted", "detected", "took_s"),
    )
    people = len({row["person"] for row in rows})
    return PeopleRow(
        rows[0]["month"], name, team, people, **{key: sum(row[key] for row in rows) for key in keys}
    )
