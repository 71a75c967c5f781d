"""Deadlines and reminders of domains in working time, from the database's time. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge.review_domains import MARGIN, ReviewDomain
from edge.working_time import WorkingTime


@dataclass(frozen=True)
class StepDeadline:
    """When a step ends, and when its addressee is reminded."""

    to: str
    decide_by: datetime
    remind_at: datetime | None


class DomainDeadlines:
    """The calendars and steps of the domains."""

    def __init__(self, domains: Iterable[ReviewDomain]) -> None:
        self._domains: dict[str, tuple[WorkingTime, list[tuple[str, timedelta, timedelta | None]]]] = {
            domain.name: (domain.working_time(), domain.steps) for domain in domains
        }

    def __contains__(self, domain: object) -> bool:
        return domain in self._domains

    def on_arrival(self, domain: str, now: datetime, keep: timedelta, step: int = 0) -> StepDeadline:
        """The deadline of an answer that arrives now and is deleted after `keep`. `step`: in which it begins.

        Holidays can make the working time longer than that. Then the step ends while the caller can still read it.
        """
        deadline = self._step(domain, step, now)
        latest = now + max(keep - MARGIN, timedelta())
        return StepDeadline(deadline.to, min(deadline.decide_by, latest), deadline.remind_at)

    def plans(self, now: datetime) -> str:
        """JSON of the steps of each domain, for the functions in `edge.database.review_deadlines`.

        Step 0 has no deadline, because an answer is in it already.
        """
        return json.dumps({name: self._plan(name, now) for name in self._domains})

    def _plan(self, domain: str, now: datetime) -> list[dict[str, Any]]:
        steps = self._domains[domain][1]
        plan: list[dict[str, Any]] = [{"to": steps[0][0]}]
        for number in range(1, len(steps)):
            deadline = self._step(domain, number, now)
            times = {"decide_by": deadline.decide_by, "remind_at": deadline.remind_at}
            plan.append({"to": deadline.to} | {key: at.isoformat() for key, at in times.items() if at})
        return plan

    def _step(self, domain: str, number: int, now: datetime) -> StepDeadline:
        calendar, steps = self._domains[domain]
        to, worked, before = steps[number]
        decide_by = calendar.add(now, worked)
        return StepDeadline(to, decide_by, None if before is None else calendar.subtract(decide_by, before))
