"""Settings `domains` of human review: working hours, holidays, deadlines in working time, chains of escalation."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from edge.strict_model import Strict
from edge.working_time import DAYS, WorkingTime, parse_period

Label = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A name in notifications: of a domain, of an addressee, of a target."""
GROUP = "group"
"""Addressee of the first step: the reviewers of the domain."""
MARGIN = timedelta(days=1)
"""Time between the last deadline of an answer and its deletion, in which the caller can still read that it expired."""
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WorkingHours = Annotated[float, Field(gt=0, le=24 * 30)]


def as_zone(name: str) -> str:
    """The name of a time zone. Raises ValueError."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"{name!r} is not a time zone. Write it like Europe/Berlin") from None
    return name


def _as_period(text: str) -> str:
    parse_period(text)
    return text


class Hours(Strict):
    """The working hours of a week, in the local time of a time zone."""

    time_zone: Annotated[str, AfterValidator(as_zone)] = Field(examples=["Europe/Berlin"])
    """IANA name, such as Europe/Berlin. Clock changes follow it."""
    days: Annotated[
        dict[
            Weekday,
            Annotated[
                list[Annotated[str, AfterValidator(_as_period)]],
                Field(min_length=1, max_length=8),
            ],
        ],
        Field(min_length=1, examples=[{"mon": ["09:00-17:30"]}]),
    ]
    """Working hours of each working day, such as 09:00-17:30. Split a night shift at 24:00."""

    @model_validator(mode="after")
    def _in_order(self) -> Hours:
        for day, periods in self.days.items():
            bounds = [bound for period in periods for bound in parse_period(period)]
            if any(later < earlier for earlier, later in pairwise(bounds)):
                raise ValueError(f"days.{day}: the periods must follow each other and not overlap")
        return self


class Holidays(Strict):
    """Days on which nobody works: public holidays of a country or region, and an organisation's own dates."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2,6}$")] | None = Field(default=None, examples=["DE"])
    """ISO 3166-1 code, such as DE. Absent: own dates only."""
    subdivision: Annotated[str, Field(pattern=r"^[A-Za-z0-9 -]{1,40}$")] | None = Field(
        default=None, examples=["HE"]
    )
    """ISO 3166-2 code without the country, such as BY."""
    dates: Annotated[list[date], Field(max_length=400)] = Field(default=[], examples=[["2026-12-24"]])
    """Further dates, such as 2026-12-24."""

    @model_validator(mode="after")
    def _is_known(self) -> Holidays:
        if self.subdivision and not self.country:
            raise ValueError("subdivision needs country. Set country, or remove subdivision")
        if self.country is None:
            return self
        import holidays  # loads its countries only when they are asked for

        known = holidays.list_supported_countries()
        if self.country not in known:
            raise ValueError(
                f"country: there is no calendar of holidays for {self.country!r}. "
                "Use an ISO 3166-1 code such as DE, or state dates alone"
            )
        if self.subdivision and self.subdivision not in known[self.country]:
            some = ", ".join(known[self.country]) or "none"
            raise ValueError(
                f"subdivision: {self.subdivision!r} is not one of {self.country}: {some}. Use one of them"
            )
        return self


class TimedStep(Strict):
    """A step that ends after some working time."""

    decide_h: WorkingHours
    """Working hours after which the next step begins, or the answer expires after the last one."""
    remind_h: WorkingHours | None = None
    """A reminder is sent so many working hours before that."""

    @model_validator(mode="after")
    def _reminds_within(self) -> Self:
        if self.remind_h is not None and self.remind_h >= self.decide_h:
            raise ValueError(
                f"remind_h is {self.remind_h:g}, but must be less than decide_h ({self.decide_h:g}). "
                "Lower or remove it"
            )
        return self


class EscalationStep(TimedStep):
    """One step of a chain of escalation."""

    to: Label = Field(examples=["seniors"])
    """Who is told: `seniors`, or the name of a role. Only seniors decide on escalated answers."""


class ReviewDomain(TimedStep):
    """Deadlines of one domain. The gateways and the review service of a class and site state the same."""

    name: Label
    """The `review.domain` of workloads."""
    hours: Hours
    """When its reviewers work."""
    holidays: Holidays = Holidays()
    """When they do not."""
    announce: bool = False
    """Whether its reviewers are told of new answers. Absent: the first message is the reminder."""
    escalation: Annotated[list[EscalationStep], Field(min_length=1, max_length=8)]
    """Who is told next, one after the other. After the last step the answer expires."""

    @model_validator(mode="after")
    def _escalates_to_others(self) -> ReviewDomain:
        if any(step.to == GROUP for step in self.escalation):
            raise ValueError(f"escalation: {GROUP!r} is the domain's own reviewers. Name seniors or a role")
        return self

    @property
    def steps(self) -> list[tuple[str, timedelta, timedelta | None]]:
        """Addressee, working time and time of the reminder before the end of each step. The first is the group."""
        return [
            (to, timedelta(hours=step.decide_h), timedelta(hours=step.remind_h) if step.remind_h else None)
            for to, step in [(GROUP, self), *((step.to, step) for step in self.escalation)]
        ]

    def working_time(self, *, ordinary: bool = False) -> WorkingTime:
        """The calendar. `ordinary`: weeks without holidays and without clock changes."""
        week = tuple(tuple(parse_period(period) for period in self.hours.days.get(day, [])) for day in DAYS)
        if ordinary:
            return WorkingTime(ZoneInfo("UTC"), week)
        days = self.holidays
        return WorkingTime(
            ZoneInfo(self.hours.time_zone), week, days.country, days.subdivision, frozenset(days.dates)
        )

    def longest(self) -> timedelta:
        """Time from the arrival of an answer until it expires, at worst, in weeks without holidays."""
        calendar = self.working_time(ordinary=True)
        longest = timedelta()
        monday = date(2026, 1, 5)
        for day in (monday + timedelta(days=number) for number in range(7)):
            for _, arrival in calendar.periods(day):
                end = arrival
                for _, worked, _ in self.steps:
                    end = calendar.add(end, worked)
                longest = max(longest, end - arrival)
        return longest


def domain_problem(domains: list[ReviewDomain], keep: timedelta) -> str | None:
    """Why answers of these domains cannot be kept until they expire, or None."""
    names = [domain.name for domain in domains]
    if len(set(names)) < len(names):
        return "domains: two have the same name"
    for domain in domains:
        if (longest := domain.longest()) + MARGIN > keep:
            days = -(-(longest + MARGIN) // timedelta(days=1))
            return (
                f"domains: an answer of {domain.name!r} can wait {longest.total_seconds() / 3600:g} h. "
                f"Set keep_days to {days} or more, or shorten its steps"
            )
    return None
