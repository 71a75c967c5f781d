"""Data model of the value of a workload in the requirements: unit of work, baseline, people, target, pilot."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints, model_validator

from isthmus.contracts.vocabulary import FilePart
from isthmus.core.errors import FieldError, raise_all

Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$"), Field(examples=["2026-11-01"])]
Amount = Annotated[float, Field(ge=0, json_schema_extra={"unit": "as the figure says"})]
Measure = Literal[
    "acceptance",
    "adoption",
    "cost_per_accepted_answer_usd",
    "hours_saved_per_month",
    "net_benefit_usd_per_month",
    "first_year_return_pct",
    "payback_months",
]
"""A figure of `isthmus value` that a criterion may name."""
MEASURES: tuple[Measure, ...] = get_args(Measure)


class Figure(FilePart):
    """A figure with its range, its source and its date. Without `low` and `high` it has no range."""

    low: Amount | None = Field(default=None, examples=[12])
    """The lowest value that is plausible."""
    likely: Amount = Field(examples=[18])
    """The likeliest value."""
    high: Amount | None = Field(default=None, examples=[30])
    """The highest value that is plausible."""
    source: str = Field(min_length=1, examples=["time study of 40 letters"])
    """Where the figure comes from."""
    as_of: Day
    """Of which day it is."""

    @property
    def lowest(self) -> float:
        return self.likely if self.low is None else self.low

    @property
    def highest(self) -> float:
        return self.likely if self.high is None else self.high

    @model_validator(mode="after")
    def _order(self) -> Figure:
        if self.lowest > self.likely:
            raise FieldError(
                f"low ({self.low:g}) is above likely ({self.likely:g})", "low", fix="Swap or correct them"
            )
        if self.highest < self.likely:
            raise FieldError(
                f"high ({self.high:g}) is below likely ({self.likely:g})", "high", fix="Swap or correct them"
            )
        return self


class Criterion(FilePart):
    """A limit on one figure, agreed before the pilot."""

    measure: Measure = Field(examples=["acceptance"])
    """The figure of `isthmus value` (docs/value.md)."""
    at_least: float | None = Field(
        default=None, json_schema_extra={"unit": "as `measure` says"}, examples=[0.85]
    )
    """The criterion is met from this value up."""
    at_most: float | None = Field(
        default=None, json_schema_extra={"unit": "as `measure` says"}, examples=[18]
    )
    """The criterion is met up to this value."""

    @model_validator(mode="after")
    def _one_limit(self) -> Criterion:
        if (self.at_least is None) == (self.at_most is None):
            raise FieldError(
                f"the criterion on {self.measure} has {'no limit' if self.at_least is None else 'two limits'}",
                "at_least",
                fix="State at_least or at_most",
            )
        return self


class Pilot(FilePart):
    """Criteria for the exit of a pilot. `isthmus value` answers by them alone: scale, fix or stop."""

    agreed_by: str = Field(min_length=1, examples=["steering committee"])
    """Who agreed on the criteria."""
    agreed_on: Day
    """When, before the pilot."""
    min_days: int = Field(default=28, ge=14, examples=[56])
    """Days of usage below which nothing is decided."""
    scale: list[Criterion] = Field(min_length=1, examples=[[{"measure": "acceptance", "at_least": 0.85}]])
    """Scale if all of these are met."""
    stop: list[Criterion] = Field(min_length=1, examples=[[{"measure": "acceptance", "at_most": 0.6}]])
    """Stop if one of these is met. Neither all of `scale` nor one of `stop`: fix."""


class Target(FilePart):
    """What the workload should reach. Shown beside the figures; it decides nothing."""

    adoption: float | None = Field(
        default=None, ge=0, le=1, json_schema_extra={"unit": "share from 0 to 1"}, examples=[0.6]
    )
    """Active people out of those who could use it."""
    payback_months: float | None = Field(default=None, gt=0, examples=[18])
    """Months until savings have paid `one_time_usd`."""
    first_year_return_pct: float | None = Field(
        default=None, json_schema_extra={"unit": "per cent"}, examples=[20]
    )
    """Return in the first year."""


class Value(FilePart):
    """What the workload is worth: the work that its answers replace, and the people who do it."""

    unit: str = Field(min_length=1, examples=["letter answered"])
    """The unit of work."""
    units_per_answer: Figure = Field(
        examples=[{"likely": 0.5, "source": "logs of the pilot", "as_of": "2026-11-01"}]
    )
    """Units that an accepted answer does: 0.5 if people ask twice for a letter. Unit: units of work."""
    baseline_minutes: Figure
    """Minutes of a person for a unit without the workload."""
    assisted_minutes: Figure = Field(
        examples=[
            {"low": 3, "likely": 5, "high": 8, "source": "time study of 40 letters", "as_of": "2026-11-01"}
        ]
    )
    """Minutes of a person for a unit with an answer: to ask, read and correct. They are spent on answers that are not
    accepted, too."""
    usd_per_hour: Figure = Field(
        examples=[{"likely": 55, "source": "controlling, cost of a clerk's hour", "as_of": "2026-01-01"}]
    )
    """Cost of an hour of these people."""
    one_time_usd: Figure | None = Field(
        default=None,
        examples=[{"likely": 60000, "source": "budget of the project", "as_of": "2026-01-01"}],
    )
    """What the workload has cost once: project, training, change of procedures. Unit: USD. Payback needs it."""
    beneficiaries: str = Field(min_length=1, examples=["clerks of the claims desk"])
    """Who benefits."""
    people: Figure = Field(examples=[{"likely": 120, "source": "staff list", "as_of": "2026-11-01"}])
    """How many people could use it. Unit: people."""
    target: Target | None = Field(default=None, examples=[{"adoption": 0.6, "payback_months": 18}])
    """What it should reach."""
    pilot: Pilot | None = Field(
        default=None,
        examples=[
            {
                "agreed_by": "steering committee",
                "agreed_on": "2026-09-01",
                "scale": [{"measure": "acceptance", "at_least": 0.85}],
                "stop": [{"measure": "acceptance", "at_most": 0.6}],
            }
        ],
    )
    """Criteria for the exit of its pilot. Absent: `isthmus value` gives no answer on the exit."""

    @model_validator(mode="after")
    def _some_people(self) -> Value:
        if self.people.lowest < 1:
            raise FieldError(
                "nobody could use it at the low end",
                "people",
                fix="State at least 1 person, or remove `value`",
            )
        return self

    @model_validator(mode="after")
    def _payback_is_known(self) -> Value:
        if self.one_time_usd is not None or self.pilot is None:
            return self
        raise_all(
            FieldError(
                "a criterion on payback_months needs one_time_usd",
                *("pilot", kind, index, "measure"),
                fix="State one_time_usd, or use another measure",
            )
            for kind in ("scale", "stop")
            for index, criterion in enumerate(getattr(self.pilot, kind))
            if criterion.measure == "payback_months"
        )
        return self
