"""The result of an evaluation: what `isthmus evaluate` writes, and what requirements name as `scores_from`.

It has scores and counts, and names of cases. No question, no expected answer and no answer of a model is in it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from isthmus.contracts.vocabulary import Part, Precision, Sensitivity, Sha256

VERSION = "evaluation v1"
Verdict = Literal["passed", "failed", "undecided"]
"""`undecided`: too few cases to tell."""


class Measured(Part):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class Subject(Part):
    """What was evaluated. A score holds for this and nothing else."""

    endpoint: str
    """Id of the plan's endpoint."""
    model: str
    precision: Precision | None
    """As it is served; None: the plan does not say."""
    weights: Sha256 | None
    """Digest of the weights' manifest. None: a provider's model, or one without weights of its own."""
    adapter: str | None
    """Adapter that served the workload."""
    engine_sha256: Sha256
    """Digest of all settings of the endpoint that change answers."""
    prompt_sha256: Sha256 | None
    """Digest of the system prompt. None: the evaluation has none."""


class Measures(Part):
    """What one version did in a task or a slice."""

    score: Measured
    cases: int = Field(ge=1)
    """Cases that count."""
    errors: dict[str, int]
    """Cases without an answer, by the status and the gateway's code. They score 0."""
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    seconds_p50: float = Field(ge=0)
    """Median time to the whole answer, at the load of the evaluation."""
    seconds_p95: float = Field(ge=0)
    usd_per_case: float | None
    """Cost of a case by the plan's price of a token. None: the model has none, for example on own GPUs."""


class Comparison(Part):
    """The candidate beside the version in use, on the same cases."""

    cases: int = Field(ge=1)
    difference: Measured
    """Mean score of the candidate less that of the version in use."""
    better: int = Field(ge=0)
    worse: int = Field(ge=0)
    p: float | None
    """McNemar's exact test; None where scores are shares."""


class TaskResult(Part):
    """The scores of one task."""

    name: str
    check: str
    safety: bool
    min_score: float | None
    max_loss: float
    serving: Measures | None
    """The version in use. None: it did not answer these cases."""
    candidate: Measures | None
    """None: no candidate was evaluated."""
    paired: Comparison | None
    verdict: Verdict
    why: str
    """The reason for the verdict, in words."""
    cases_needed: int | None
    """`undecided`: about how many cases decide it."""


class SliceResult(Part):
    """The scores of the cases with one property."""

    name: str
    """`language`, or a key of the cases' `slices`."""
    value: str
    serving: Measured | None
    candidate: Measured | None
    cases: int = Field(ge=1)


class Excluded(Part):
    """A case that did not count."""

    case: str
    reason: Literal["repeats", "trained"]
    of: str | None
    """The case that it repeats."""


class Outcome(Part):
    """The scores of one case. None: that version did not answer it, because none was evaluated."""

    task: str
    case: str
    sha256: Sha256
    """Digest of the case."""
    serving: float | None
    candidate: float | None


class EvaluationResult(Part):
    """The result of an evaluation."""

    isthmus: Literal["evaluation v1"] = VERSION
    stack: str
    workload: str
    sensitivity: Sensitivity
    ended: datetime
    """When the last answer came (UTC)."""
    official: bool
    """Whether a trusted evaluator made it on a platform that is not a sandbox, and every case has an outcome. Only the
    signature proves it. Others are for development."""
    evaluated_by: str | None = None
    """Public key of who evaluated and signed it (`ssh-ed25519 BASE64`). None: nobody signed it."""
    stand_ins: bool
    """Whether the sandbox answered, in place of the models that `serving` and `candidate` name."""
    complete: bool
    """Whether every case has an outcome of each version."""
    serving: Subject | None
    candidate: Subject | None
    definition_sha256: Sha256
    """Digest of `evaluation.yaml`: tasks, checks and thresholds."""
    cases_sha256: Sha256
    judge: str | None
    """Workload whose model judged."""
    runner: str
    """Program and version that asked and scored."""
    min_score: float
    score_serving: Measured | None
    """The score of the version in use, over all tasks but those of safety."""
    score_candidate: Measured | None
    verdict: Verdict
    """Of the candidate; without one, of the version in use."""
    why: str
    tasks: list[TaskResult]
    slices: list[SliceResult]
    excluded: list[Excluded]
    outcomes: list[Outcome]
