"""The desk's board for seniors, auditors and owners: its page, and its numbers as CSV and JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from starlette.responses import Response

from edge.desk.pages import HEADERS
from edge.desk.visit import Visit
from edge.openai_api import Refusal, bad_request
from edge.reviews.detection import LEAST_PLANTED, Detection
from edge.reviews.figures import (
    DAYS,
    LEAST_PAIRS,
    MEASURED_DAYS,
    WEEKS,
    Agreement,
    Decided,
    Figures,
    FiguresOf,
    Rejected,
    Waiting,
)
from edge.reviews.identity import ID
from edge.reviews.people import ReviewPeople
from edge.reviews.people_figures import PeopleRow
from edge.reviews.small_groups import LEAST_PEOPLE

PATH, CSV_PATH, JSON_PATH = "/board", "/board.csv", "/board.json"
PATHS = (PATH, CSV_PATH, JSON_PATH)
SHOWN_REJECTIONS = 60
"""Rows of rejections on the page. The downloads have all."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a cell that spreadsheets take for a formula."""
_SEPARATOR = "/"
_PSEUDONYM = re.compile(r"[0-9a-f]{16}")
COLUMNS = ("figure", "period", "group", "domain", "workload", "model", "reason", "name", "value")


@dataclass(frozen=True)
class Bar:
    """One bar of a chart, in parts of its highest."""

    label: str
    value: int
    height: float
    at: float
    width: float


class BoardPages:
    """The board of one desk."""

    def __init__(
        self,
        figures: FiguresOf,
        people: ReviewPeople,
        page: Callable[[Visit, str, Mapping[str, Any], int], Response],
        go: Callable[[Visit, str], Response],
    ) -> None:
        """`page`: renders a template. `go`: sends the browser to a path."""
        self._figures, self._people, self._page, self._go = figures, people, page, go

    async def show(self, visit: Visit) -> Response:
        """The board as a page."""
        figures = await self._of(visit)
        values = {
            "list_name": "board",
            "figures": figures,
            "day_bars": bars([(f"{day.day}", day.decided) for day in reversed(figures.days)]),
            "week_bars": bars([(f"{week}", count) for week, count in reversed(figures.weeks)]),
            "rejections": figures.rejections[:SHOWN_REJECTIONS],
            "more_rejections": max(len(figures.rejections) - SHOWN_REJECTIONS, 0),
            "least_planted": LEAST_PLANTED,
            "least_pairs": LEAST_PAIRS,
            "days": DAYS,
            "weeks": WEEKS,
            "measured_days": MEASURED_DAYS,
            "least_people": LEAST_PEOPLE,
            "questions": await self._people.questions(visit.reviewer),
            "may_ask": self._people.may_ask(visit.reviewer),
            "separator": _SEPARATOR,
        }
        return self._page(visit, "board.html", values, 200)

    async def ask(self, visit: Visit) -> Response:
        """Ask who a pseudonym is."""
        month, _, person = visit.form.get("person", "").partition(_SEPARATOR)
        try:
            first = date.fromisoformat(month)
        except ValueError:
            first = None
        if first is None or not _PSEUDONYM.fullmatch(person):
            raise bad_request("invalid_person", "Choose a pseudonym of the board.")
        await self._people.ask(visit.reviewer, first, person, visit.form.get("reason", "").strip())
        return self._go(visit, f"{PATH}#people")

    async def confirm(self, visit: Visit) -> Response:
        """Confirm another person's question who a pseudonym is."""
        question = visit.request.path_params["question"]
        if not ID.fullmatch(question):  # PostgreSQL rejects some of them (NUL)
            raise Refusal(404, "reidentification_not_found", "There is no such question.")
        await self._people.confirm(visit.reviewer, question)
        return self._go(visit, f"{PATH}#people")

    async def csv(self, visit: Visit) -> Response:
        """The numbers as CSV: one number in a line."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for row in rows(await self._of(visit)):
            writer.writerow([_cell(row.get(column, "")) for column in COLUMNS])
        headers = {**HEADERS, "content-disposition": 'attachment; filename="board.csv"'}
        return Response(out.getvalue(), headers=headers, media_type="text/csv; charset=utf-8")

    async def json(self, visit: Visit) -> Response:
        """The same numbers as JSON."""
        figures = await self._of(visit)
        document = {"at": figures.at.isoformat(), "columns": COLUMNS, "rows": list(rows(figures))}
        return Response(json.dumps(document), headers=HEADERS, media_type="application/json")

    async def _of(self, visit: Visit) -> Figures:
        if not visit.reviewer.reads_board:
            raise Refusal(403, "no_board", "Seniors, auditors and owners read the board.")
        return await self._figures.figures(visit.reviewer)


def bars(values: Sequence[tuple[str, int]]) -> list[Bar]:
    """The bars of a chart that is 100 wide and 100 high."""
    highest = max((value for _, value in values), default=0) or 1
    step = 100 / max(len(values), 1)
    return [
        Bar(label, value, round(100 * value / highest, 2), round(step * number, 2), round(step * 0.8, 2))
        for number, (label, value) in enumerate(values)
    ]


def rows(figures: Figures) -> Iterator[dict[str, Any]]:
    """All numbers, one in a row. A number that is not known is empty."""
    for waiting in figures.backlog:
        yield from _numbers("backlog", waiting, {"domain": waiting.domain, "period": _list_of(waiting)})
    for decided in [*figures.domains, figures.total]:
        of = {"domain": decided.domain, "period": f"{DAYS} days"}
        yield from _numbers("decided" if decided is figures.total else "decided in domain", decided, of)
    for decided in figures.days:
        yield from _numbers("decided on day", decided, {"period": str(decided.day)})
    for rejected in figures.rejections:
        yield from _numbers("rejected", rejected, _of_rejection(rejected))
    for detection in figures.detection:
        yield from _detection(detection)
    for agreement in figures.agreement:
        yield from _numbers(
            "agreement", agreement, {"domain": agreement.domain, "period": f"{MEASURED_DAYS} days"}
        )
    for row in figures.people.rows:
        yield from _of_people(row)


def _of_people(row: PeopleRow) -> Iterator[dict[str, Any]]:
    """The numbers of a reviewer or a group."""
    of = {"figure": "people", "period": f"{row.month:%Y-%m}", "group": row.name or "other groups together"}
    names = (
        "people",
        "decisions",
        "approved",
        "corrected",
        "rejected",
        "escalated",
        "mean_s",
        "planted",
        "rate",
    )
    yield from ({**of, "name": name, "value": getattr(row, name)} for name in names)


def _list_of(waiting: Waiting) -> str:
    return "after delivery" if waiting.delivered else "before delivery"


def _of_rejection(rejected: Rejected) -> dict[str, Any]:
    keys = ("workload", "model", "reason")
    return {"period": f"week of {rejected.week}", **{key: getattr(rejected, key) for key in keys}}


def _detection(detection: Detection) -> Iterator[dict[str, Any]]:
    of = {"figure": "detection", "domain": detection.domain, "period": f"{MEASURED_DAYS} days"}
    low, high = detection.bounds or (None, None)
    numbers = {
        "answers": detection.answers,
        "decisions": detection.decisions,
        "detected": detection.detected,
        "rate": detection.rate,
        "low": low,
        "high": high,
    }
    yield from ({**of, "name": name, "value": value} for name, value in numbers.items())


def _numbers(
    figure: str, of: Waiting | Decided | Rejected | Agreement, where: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """A row for each number of a figure."""
    for field in dataclasses.fields(of):
        value = getattr(of, field.name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield {"figure": figure, **where, "name": field.name, "value": value}
        elif value is None and field.name in ("median_s", "p90_s", "kappa"):
            yield {"figure": figure, **where, "name": field.name, "value": None}


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
