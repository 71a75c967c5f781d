"""Data model of a workload in the requirements: data, models, traffic and SLO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    model_validator,
)

from edge.interface_names import GENERATING, Interface
from isthmus.contracts.requirements.value import Value
from isthmus.contracts.vocabulary import (
    DnsLabel,
    FilePart,
    Impact,
    Language,
    Precision,
    Regime,
    ResultFile,
    Sensitivity,
    Sha256,
    Survive,
)
from isthmus.core.errors import FieldError, InputError, raise_all

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema

Score = Annotated[float, Field(ge=0, le=1, json_schema_extra={"unit": "score from 0 to 1"})]
"""From the organisation's own evaluation, 0 to 1."""
LATENCY_GOALS = ("ttft_p95_ms", "tpot_p95_ms", "answer_p95_ms")
"""Keys of `slo` that state times of an answer."""
Share = Annotated[float, Field(ge=0, le=1, json_schema_extra={"unit": "share from 0 to 1"})]


def _jurisdiction(code: str) -> str:
    from isthmus.contracts.reference import jurisdictions

    try:
        return jurisdictions.check_code(code)
    except InputError as error:
        raise FieldError(error.what, fix=error.fix) from None


Jurisdiction = Annotated[str, AfterValidator(_jurisdiction)]


class Adapter(FilePart):
    """A LoRA adapter that the workload needs beside the base model."""

    name: DnsLabel = Field(examples=["kyc-fields"])
    """Name of the adapter, by which requests choose it."""
    rank: int = Field(ge=1, json_schema_extra={"unit": "dimensions"}, examples=[16])
    """LoRA rank, `r` in the adapter's `adapter_config.json`."""
    size_mib: int = Field(ge=1, examples=[84])
    """Size of the adapter's weights."""


class ScoreSource(FilePart):
    """A result of `isthmus evaluate` with the candidate's score (docs/evaluation.md)."""

    file: ResultFile = Field(examples=["policy-assistant/results/2026-12-01T093000-internal-chat.json"])
    """The result, below the folder `evaluations`, which is beside the requirements or above them."""
    sha256: Sha256
    """Digest of the result. A result that was changed afterwards is refused."""
    of: Literal["serving", "candidate"] | None = Field(default=None, examples=["candidate"])
    """Whose score is meant, where the result has two of this model at one precision: that of the version in use, or of
    the candidate beside it."""


class Candidate(FilePart):
    """A model that may serve the workload, with its score at each precision that may be chosen."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["scores"]}, {"required": ["scores_from"]}]}
    )

    id: str = Field(min_length=1, examples=["Qwen/Qwen3-14B"])
    """Model, by its name on Hugging Face or in Bedrock. `isthmus models` lists the known ones."""
    base: str | None = Field(default=None, min_length=1, examples=["Qwen/Qwen3-14B"])
    """For a model that you tuned: the model of the catalogue that it was tuned from. It has that model's layers and
    licence."""
    scores: dict[Precision, Score] = Field(default={}, min_length=1, examples=[{"bf16": 0.86, "fp8": 0.85}])
    """Quality for this workload by your own evaluation, for each precision that may be chosen (`api` for a provider's
    API), for example the share of right answers. Required unless `scores_from` is there."""
    scores_from: list[ScoreSource] = []
    """Results of evaluations, in place of typed scores, or for further precisions."""
    adapters: list[Adapter] = []
    """LoRA adapters that are served beside the model."""

    _unofficial: Mapping[str, str] = PrivateAttr(default={})

    @property
    def unofficial(self) -> Mapping[str, str]:
        """Precisions with a score of a result that is not official, and why it is not."""
        return self._unofficial

    @model_validator(mode="after")
    def _scored(self) -> Candidate:
        if not self.scores and not self.scores_from:
            raise FieldError(
                f"the candidate `{self.id}` has no score",
                "scores",
                fix="Write `scores: {PRECISION: SCORE}`, or name results of evaluations below `scores_from`",
            )
        return self

    @model_validator(mode="after")
    def _adapters(self) -> Candidate:
        from isthmus.core.uniqueness import unique

        unique(self.adapters, "name", "adapters")
        return self


class Model(FilePart):
    """Which models may serve the workload."""

    candidates: list[Candidate] = Field(min_length=1)
    """Models to choose from."""
    min_score: Score = Field(examples=[0.8])
    """The least score that is good enough. Candidates below it are ruled out."""
    context_tokens: int = Field(ge=1, examples=[8192])
    """The longest prompt and answer together. At least the p95 of prompt and answer."""

    @model_validator(mode="after")
    def _candidates(self) -> Model:
        from isthmus.core.uniqueness import unique

        unique(self.candidates, "id", "candidates")
        return self


class Tokens(FilePart):
    """Tokens of a request: mean and 95th percentile. In a file a single number stands for both."""

    mean: float = Field(gt=0, json_schema_extra={"unit": "tokens"}, examples=[1500])
    """Mean over all requests."""
    p95: float = Field(gt=0, json_schema_extra={"unit": "tokens"}, examples=[4000])
    """95 % of requests have at most this many."""

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
"""How the load spreads over a day: a name, or 24 weights, one for each hour."""


class Traffic(FilePart):
    """How much the workload is used."""

    peak_rps: float = Field(gt=0, examples=[2.0])
    """Requests a second in the busiest minutes of a month. Replicas are sized for it."""
    mean_rps: float = Field(gt=0, examples=[0.5])
    """Mean requests a second over a whole month, nights included: requests a month divided by 2,628,000 seconds.
    Prices by the token are multiplied by it."""
    profile: Profile = Field(
        default="flat", json_schema_extra={"unit": "relative weight"}, examples=["office-hours"]
    )
    """How the load spreads over a day: `flat`, `office-hours`, or 24 weights, one for each hour from midnight."""
    arrival_cv: float = Field(default=1, ge=0, json_schema_extra={"unit": "ratio"}, examples=[1.5])
    """Burstiness: coefficient of variation of the times between requests (standard deviation divided by mean). 1:
    requests arrive at random. 0: evenly. Above 1: in bursts, for example 2 where a page sends several at once."""
    prompt_tokens: Tokens = Field(examples=[{"mean": 1500, "p95": 4000}])
    """Length of prompts: system prompt, documents and history included."""
    output_tokens: Tokens = Field(examples=[{"mean": 250, "p95": 500}])
    """Length of answers, reasoning included."""
    prefix_hit_ratio: Share = Field(default=0, examples=[0.3])
    """Share of the prompt tokens with which an earlier prompt began, such as a common system prompt. vLLM computes
    them once: tokens of the system prompt divided by the mean of `prompt_tokens` is a good estimate."""
    growth_pct_month: float = Field(
        default=0, ge=-100, json_schema_extra={"unit": "per cent per month"}, examples=[3]
    )
    """Growth of the load. The plan is for today's load, and says which endpoint is outgrown first, and when."""

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


class BatchVolume(FilePart):
    """Requests that applications hand in as files (interface `batches`), in addition to `traffic`."""

    requests_per_day: float = Field(gt=0, json_schema_extra={"unit": "requests a day"}, examples=[20000])
    """Lines of batches on a busy day. They are as long as the requests of `traffic`, and done within the day."""


class Slo(FilePart):
    """Goals: for interactive work times to the first and between tokens, for batch work a time limit."""

    ttft_p95_ms: float | None = Field(default=None, gt=0, examples=[3000])
    """Time to the first token, which 95 % of requests keep. Interactive workloads need it."""
    tpot_p95_ms: float | None = Field(default=None, gt=0, examples=[80])
    """Time for each further token, which 95 % of requests keep. Interactive chat needs it."""
    answer_p95_ms: float | None = Field(default=None, gt=0, examples=[20000])
    """Time to the last token, which 95 % of requests keep. For interactive chat. Where people may have to decide before
    an answer is delivered, nothing of it arrives before it is whole: state this goal instead of the two others."""
    availability: float | None = Field(
        default=None, gt=0, lt=1, json_schema_extra={"unit": "share of the time"}, examples=[0.995]
    )
    """Share of the time in which its peak must be carried. The plan estimates it, and raises `survive` to reach it."""
    complete_within_hours: float | None = Field(default=None, gt=0, examples=[24])
    """Time in which each request of a batch workload is done. Batch workloads need it."""

    @property
    def latencies(self) -> dict[str, float]:
        """The stated times of an answer by their keys, milliseconds."""
        return {key: value for key in LATENCY_GOALS if (value := getattr(self, key)) is not None}


class Review(FilePart):
    """Which answers a human looks at."""

    domain: DnsLabel = Field(examples=["claims"])
    """Who reviews: a team or a field of knowledge."""
    below_confidence: float | None = Field(
        default=None, ge=0, le=1, json_schema_extra={"unit": "score from 0 to 1"}, examples=[0.75]
    )
    """Answers with a lower confidence are marked. At impact material people decide on them before they are delivered,
    and on answers without a confidence. `isthmus calibrate` finds the threshold."""
    on_low_score: Literal["hold"] | None = Field(default=None, examples=["hold"])
    """`hold`: at impact low too, people decide on such answers before they are delivered. Absent: they are delivered,
    and in class confidential and restricted a person looks at them afterwards."""
    sample_rate: Share = Field(default=0, examples=[0.02])
    """Share of the other answers that a person looks at after their delivery, drawn at random."""


class Workload(FilePart):
    """One use of a language model."""

    name: DnsLabel = Field(examples=["ticket-answers"])
    """Name of the workload."""
    purpose: str = Field(default="", examples=["Draft answers to tickets of the helpdesk"])
    """What it is for, in a sentence that an auditor understands."""
    sensitivity: Sensitivity
    """How sensitive its data is. The class decides where it may run (docs/contracts.md, Handling)."""
    impact: Impact
    """What a wrong answer can do to people or money. It decides which answers a person reviews."""
    task: Literal["chat", "embedding", "rerank", "guard"] = "chat"
    """What the model does. `guard`: it judges prompts or answers of other workloads."""
    mode: Literal["interactive", "batch"] = "interactive"
    """`interactive`: somebody waits for the answer. `batch`: answers are due within hours."""
    languages: list[Language] = Field(default=[], examples=[["en", "es"]])
    """Languages of its prompts and answers as ISO 639 codes, the likeliest first. Names are redacted in these languages
    where prompts leave the gateway's site, and guardrails filter them. Absent: English."""
    residency: Annotated[list[Jurisdiction], Field(min_length=1)] | None = Field(
        default=None, examples=[["eu"]]
    )
    """Where the data may be, as ISO country codes, `eu` or `eea`: any of these. Absent: anywhere."""
    regimes: list[Regime] = []
    """Rules that apply to the data. Each adds limits, for example how long records are kept (docs/contracts.md)."""
    model: Model
    """Which models may serve it."""
    traffic: Traffic
    """How much it is used."""
    slo: Slo = Field(examples=[{"ttft_p95_ms": 3000, "tpot_p95_ms": 80}])
    """Goals for its answers."""
    survive: Survive = "none"
    """The largest failure after which it must still carry its peak: of a replica, a node, or a failure domain.
    `slo.availability` may raise it."""
    allow_overflow: bool = False
    """Whether load above what your own GPUs carry may go to an API, so that no GPUs wait for the peak."""
    allow_fallback: bool = False
    """Whether another endpoint of the plan may answer chats when its own cannot: one of the same class, whose model is
    one of the candidates and good enough, within residency and handling."""
    review: Review | None = None
    """Which answers a person looks at. A workload of high impact needs it."""
    interfaces: list[Interface] = Field(default=[], examples=[["responses", "messages"]])
    """How applications may ask it, beside chat: OpenAI's `completions` and `responses`, Anthropic's `messages`, vLLM's
    `tokenize`; `batches` (files of requests that use the capacity that others leave) and `idempotency` (the header
    `Idempotency-Key`), which need the gateway's database. All pass the same checks. `completions` and `tokenize` need a
    model on GPUs."""

    batches: BatchVolume | None = None
    """How much comes as batches, for a workload with the interface `batches`. The plan checks that the capacity which
    other work leaves suffices, and prices what is paid by the token. Absent: neither is done."""
    value: Value | None = None
    """What it is worth, for `isthmus value` (docs/value.md). It changes nothing in the plan."""

    @property
    def needs_people(self) -> bool:
        """Whether its impact or its review requires that people see some of its answers."""
        return self.review is not None or self.impact != "low"

    @property
    def is_collected(self) -> bool:
        """Whether nothing of an answer is delivered before it is whole, because people may have to decide on it."""
        holds_low = self.review is not None and self.review.on_low_score == "hold"
        return self.task == "chat" and (self.impact != "low" or holds_low)

    @model_validator(mode="after")
    def _goals(self) -> Workload:
        slo = self.slo
        if slo.answer_p95_ms is not None and (self.mode == "batch" or self.task != "chat"):
            raise FieldError(
                "`answer_p95_ms` is a goal of interactive chat",
                *("slo", "answer_p95_ms"),
                fix="Remove it, or set `task: chat` and `mode: interactive`",
            )
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
        if self.is_collected and slo.answer_p95_ms is not None:
            return self
        needed = ["ttft_p95_ms", "tpot_p95_ms"] if self.task == "chat" else ["ttft_p95_ms"]
        raise_all(
            FieldError(
                f"an interactive {self.task} workload needs slo.{key}",
                *("slo", key),
                fix=f"Add it, e.g. `{key}: {60 if key == 'tpot_p95_ms' else 1500}`",
            )
            for key in needed
            if getattr(slo, key) is None
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
    def _falls_back(self) -> Workload:
        if self.allow_fallback and self.task != "chat":
            raise FieldError(
                f"a workload of task {self.task} cannot fall back to another model",
                "allow_fallback",
                fix="Remove it: vectors of two models cannot be compared",
            )
        return self

    @model_validator(mode="after")
    def _asked_by_interfaces(self) -> Workload:
        unfit = self.interfaces if self.task == "guard" else sorted(GENERATING.intersection(self.interfaces))
        if self.task != "chat" and unfit:
            raise FieldError(
                f"the interface `{unfit[0]}` is not for a workload of task {self.task}",
                *("interfaces", self.interfaces.index(unfit[0])),
                fix="Remove it, or set `task: chat`",
            )
        return self

    @model_validator(mode="after")
    def _batched(self) -> Workload:
        if self.batches is not None and "batches" not in self.interfaces:
            raise FieldError(
                "`batches` states requests, but the workload has no interface for them",
                "batches",
                fix="Add `batches` to `interfaces`, or remove it here",
            )
        return self

    @model_validator(mode="after")
    def _valued(self) -> Workload:
        if self.value is not None and self.task != "chat":
            raise FieldError(
                f"`value` is for a workload of task chat, and this one has task {self.task}",
                "value",
                fix="State it for the workload that people ask",
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
