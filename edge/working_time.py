"""Arithmetic in working time: working hours of a week in a time zone, without holidays. No I/O and no clock.

All moments are aware datetimes. Results are in UTC. A working hour is an hour that passes: where clocks change within
working hours, that day has an hour more or less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HORIZON = timedelta(days=3660)
"""No result is further away than this. A calendar of holidays without an end has no working time."""
Period = tuple[timedelta, timedelta]
"""Start and end of working hours, from midnight on by the clock on the wall."""
_PERIOD = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")


def parse_period(text: str) -> Period:
    """The period of `09:00-17:30`. Raises ValueError."""
    match = _PERIOD.fullmatch(text)
    if match is not None:
        hours = [int(part) for part in match.groups()]
        start, end = (timedelta(hours=hours[at], minutes=hours[at + 1]) for at in (0, 2))
        if start < end <= timedelta(days=1):
            return start, end
    raise ValueError(f"{text!r} is not a period of a day. Write it like 09:00-17:30, up to 24:00")


@dataclass(frozen=True)
class WorkingTime:
    """A calendar of working hours."""

    zone: ZoneInfo
    week: tuple[tuple[Period, ...], ...]
    """Periods of Monday to Sunday."""
    country: str | None = None
    """Country whose public holidays are free (ISO 3166-1)."""
    subdivision: str | None = None
    dates: frozenset[date] = field(default=frozenset())
    """Further free days."""

    def add(self, start: datetime, worked: timedelta) -> datetime:
        """The moment at which `worked` working time has passed since `start`, but at most `HORIZON` later."""
        if worked <= timedelta():
            return start.astimezone(UTC)
        left = worked
        for begin, end in self._periods_after(start):
            if end - begin >= left:
                return begin + left
            left -= end - begin
        return start.astimezone(UTC) + HORIZON

    def subtract(self, end: datetime, worked: timedelta) -> datetime:
        """The latest moment from which `worked` working time passes until `end`, but at most `HORIZON` earlier."""
        left, end = worked, end.astimezone(UTC)
        if left <= timedelta():
            return end
        day = end.astimezone(self.zone).date() + timedelta(days=1)
        while day > (end - HORIZON).date():
            for begin, until in reversed(self.periods(day)):
                until = min(until, end)
                if until - begin >= left:
                    return until - left
                left -= max(until - begin, timedelta())
            day -= timedelta(days=1)
        return end - HORIZON

    def between(self, start: datetime, end: datetime) -> timedelta:
        """The working time that passes from `start` to `end`. Zero if `end` is not later."""
        total = timedelta()
        for begin, until in self._periods_after(start):
            if begin >= end:
                break
            total += min(until, end) - begin
        return total

    def is_free(self, day: date) -> bool:
        """Whether nobody works on a day because it is a holiday."""
        return day in self.dates or (self._public is not None and day in self._public)

    def periods(self, day: date) -> list[tuple[datetime, datetime]]:
        """The working hours of a day in UTC, in order. They never overlap those of other days."""
        before = self._of_day(day - timedelta(days=1))
        earlier = before[-1][1] if before else datetime.min.replace(tzinfo=UTC)
        periods = []
        for begin, end in self._of_day(day):
            begin, earlier = max(begin, earlier), max(end, earlier)
            if begin < end:
                periods.append((begin, end))
        return periods

    def _periods_after(self, start: datetime) -> Iterator[tuple[datetime, datetime]]:
        start = start.astimezone(UTC)
        day = start.astimezone(self.zone).date() - timedelta(days=1)
        while day <= (start + HORIZON).date():
            for begin, end in self.periods(day):
                if end > start:
                    yield max(begin, start), end
            day += timedelta(days=1)

    def _of_day(self, day: date) -> list[tuple[datetime, datetime]]:
        if self.is_free(day):
            return []
        # An hour that a clock change repeats counts twice: the period begins with its first and ends with its second.
        return [
            (self._instant(day, start, last=False), self._instant(day, end, last=True))
            for start, end in self.week[day.weekday()]
        ]

    def _instant(self, day: date, since_midnight: timedelta, *, last: bool) -> datetime:
        """The moment at which clocks in the zone show a time. Of a time that a clock change skips: the change."""
        local = datetime.combine(day, time()) + since_midnight
        first, second = (local.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if second >= first:
            return second if last else first
        before, after = second, first
        offset = before.astimezone(self.zone).utcoffset()
        while after - before > timedelta(seconds=1):
            middle = before + (after - before) / 2
            if middle.astimezone(self.zone).utcoffset() == offset:
                before = middle
            else:
                after = middle
        return after.replace(microsecond=0)

    @cached_property
    def _public(self) -> Any:
        """The public holidays; the library adds years as they are asked for."""
        if self.country is None:
            return None
        import holidays  # loads its countries only when they are asked for

        return holidays.country_holidays(self.country, subdiv=self.subdivision)
