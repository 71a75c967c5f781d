"""Data model of a workload in the requirements: data, models, traffic and SLO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from isthmus.contracts.vocabulary import DnsLabel, FilePart, Impact, Precision, Regime, Sensitivity, Survive
from isthmus.core.errors import FieldError, InputError

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema

Score = Annotated[float, Field(ge=0, le=1)]
"""From the organisation's own evaluation, 0 to 1."""


def _jurisdiction(code: str) -> str:
    from isthmus.contracts.reference import jurisdictions

    try:
        return jurisdictions.check_code(code)
    except InputError as error:
        raise FieldError(error.what, fix=error.fix) from None


Jurisdiction = Annotated[str, AfterValidator(_jurisdiction)]


class Adapter(FilePart):
    """A LoRA adapter that the workload needs beside the base model."""

    name: DnsLabel
    rank: int = Field(ge=1)
    size_mib: int = Field(ge=1)


class Candidate(FilePart):
    """A model that may serve the workload, with its score at each precision that may be chosen."""

    id: str = Field(min_length=1)
    base: str | None = Field(default=None, min_length=1)
    """Of a model of one's own the catalogue's model that it was tuned from: whose layers and whose licence it has."""
    scores: dict[Precision, Score] = Field(min_length=1)
    adapters: list[Adapter] = []

    @model_validator(mode="after")
    def _adapters(self) -> Candidate:
        from isthmus.core.uniqueness import unique

        unique(self.adapters, "name", "adapters")
        return self


class Model(FilePart):
    candidates: list[Candidate] = Field(min_length=1)
    min_score: Score
    context_tokens: int = Field(ge=1)
    """Prompt and answer together."""

    @model_validator(mode="after")
    def _candidates(self) -> Model:
        from isthmus.core.uniqueness import unique

        unique(self.candidates, "id", "candidates")
        return self


class Tokens(FilePart):
    """Tokens of a request: mean and 95th percentile. In a file a single number stands for both."""

    mean: float = Field(gt=0)
    p95: float = Field(gt=0)

    @model_validator(mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return {"mean": value, "p95": value}
        return value

    @model_validator(mode="after")
    def _order(self) -> Tokens:
        if self.p95 < self.mean:
            raise FieldError(
                f"p95 ({self.p95:g}) is below the mean ({self.mean:g})", "p95", fix="Swap or correct them"
            )
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, handler(core)]}


def _kind_of_profile(value: Any) -> str:
    return "weights" if isinstance(value, (list, tuple)) else "name"


Profile = Annotated[
    Annotated[Literal["flat", "office-hours"], Tag("name")]
    | Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=24, max_length=24), Tag("weights")],
    Discriminator(_kind_of_profile),
]
"""How the load spreads over a day: a name, or 24 weights, one an hour."""


class Traffic(FilePart):
    peak_rps: float = Field(gt=0)
    """Requests a second in the busiest minutes."""
    mean_rps: float = Field(gt=0)
    profile: Profile = "flat"
    arrival_cv: float = Field(default=1, ge=0)
    """Coefficient of variation of the times between requests."""
    prompt_tokens: Tokens
    output_tokens: Tokens
    prefix_hit_ratio: float = Field(default=0, ge=0, le=1)
    """Part of the prompt tokens that an earlier request began with."""
    growth_pct_month: float = Field(default=0, ge=-100)

    @model_validator(mode="after")
    def _peak(self) -> Traffic:
        if self.peak_rps < self.mean_rps:
            raise FieldError(
                f"peak_rps ({self.peak_rps:g}) is below mean_rps ({self.mean_rps:g})",
                "peak_rps",
                fix="Swap or correct them",
            )
        if isinstance(self.profile, list) and not any(self.profile):
            raise FieldError(
                "all 24 weights are zero", "profile", fix="Give an hour with load a weight above zero"
            )
        return self


class Slo(FilePart):
    """Goals: for interactive work times to the first and between tokens, for batch work a time limit."""

    ttft_p95_ms: float | None = Field(default=None, gt=0)
    tpot_p95_ms: float | None = Field(default=None, gt=0)
    availability: float | None = Field(default=None, gt=0, lt=1)
    """Share of the time in which its peak must be carried. The plan estimates it, and raises `survive` to reach it."""
    complete_within_hours: float | None = Field(default=None, gt=0)


class Review(FilePart):
    """Which answers a human looks at."""

    domain: DnsLabel
    """Who reviews: a team or a field of knowledge."""
    below_confidence: float | None = Field(default=None, ge=0, le=1)
    sample_rate: float = Field(default=0, ge=0, le=1)


class Workload(FilePart):
    """One use of a language model."""

    name: DnsLabel
    purpose: str = ""
    sensitivity: Sensitivity
    impact: Impact
    task: Literal["chat", "embedding", "rerank", "guard"] = "chat"
    mode: Literal["interactive", "batch"] = "interactive"
    residency: Annotated[list[Jurisdiction], Field(min_length=1)] | None = None
    """Where the data may be: any of these. Absent: anywhere."""
    regimes: list[Regime] = []
    model: Model
    traffic: Traffic
    slo: Slo
    survive: Survive = "none"
    """The largest failure after which its peak must still be carried. `slo.availability` may raise it."""
    allow_overflow: bool = False
    review: Review | None = None

    @property
    def needs_people(self) -> bool:
        """Whether its impact or its review requires that people see some of its answers."""
        return self.review is not None or self.impact != "low"

    @model_validator(mode="after")
    def _goals(self) -> Workload:
        slo = self.slo
        if self.mode == "batch":
            if slo.complete_within_hours is None:
                raise FieldError(
                    "a batch workload needs slo.complete_within_hours",
                    *("slo", "complete_within_hours"),
                    fix="Add it, e.g. `complete_within_hours: 24`",
                )
            return self
        if slo.complete_within_hours is not None:
            raise FieldError(
                "`complete_within_hours` is for batch workloads, but this workload is interactive",
                *("slo", "complete_within_hours"),
                fix="Set `mode: batch`, or set ttft_p95_ms and tpot_p95_ms instead",
            )
        needed = ["ttft_p95_ms", "tpot_p95_ms"] if self.task == "chat" else ["ttft_p95_ms"]
        for key in needed:
            if getattr(slo, key) is None:
                raise FieldError(
                    f"an interactive {self.task} workload needs slo.{key}",
                    *("slo", key),
                    fix=f"Add it, e.g. `{key}: {60 if key == 'tpot_p95_ms' else 1500}`",
                )
        return self

    @model_validator(mode="after")
    def _fits(self) -> Workload:
        p95_tokens = self.traffic.prompt_tokens.p95 + self.traffic.output_tokens.p95
        if p95_tokens > self.model.context_tokens:
            raise FieldError(
                f"context_tokens is {self.model.context_tokens}, less than the p95 of prompt and answer together "
                f"({p95_tokens:g})",
                *("model", "context_tokens"),
                fix=f"Set context_tokens to {p95_tokens:g} or more, or correct the traffic",
            )
        return self

    @model_validator(mode="after")
    def _reviewed(self) -> Workload:
        if self.impact == "high" and self.review is None:
            raise FieldError(
                "answers of a workload with high impact need human review, but `review` is missing",
                "review",
                fix="Add `review: {domain: …, below_confidence: …, sample_rate: …}`",
            )
        return self
