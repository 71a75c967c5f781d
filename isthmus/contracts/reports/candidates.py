"""What the gate says about a candidate: its scores, who signed them, and what is missing."""

from __future__ import annotations

from isthmus.contracts.evaluation_result import Measured
from isthmus.contracts.vocabulary import Part, Sensitivity


class Missing(Part):
    """Something that a candidate needs before it may answer people."""

    what: str
    """What is missing, as a sentence without full stop."""
    fix: str
    """What to do, with the command."""


class Scores(Part):
    """What the candidate's result says."""

    file: str
    """The result, below the folder `evaluations`."""
    score: Measured | None
    """Over all tasks but those of safety."""
    loss: Measured | None
    """How much lower than the version in use, in the task with the largest possible loss. None: not compared."""
    max_loss: float | None
    """How much this task may lose."""
    loss_task: str
    """Name of this task."""
    seconds_p50: float
    """Largest median of a task: time to the whole answer, at the load of the evaluation."""
    seconds_p95: float
    usd_per_case: float | None
    """Mean cost of a case. None: the model has no price of a token."""
    signed_by: str
    """Owner of the evaluator's entry in `trust.yaml`. Empty: no trusted evaluator signed it."""


class Candidate(Part):
    """A workload's candidate, and the gate's verdict."""

    workload: str
    class_: Sensitivity
    gateway: str
    endpoint: str
    model: str
    share: str
    """Which requests it gets, in words."""
    takes_requests: bool
    """Whether it may get requests of people, or copies of them. If not, it needs no result yet."""
    scores: Scores | None
    """None: no result can be read."""
    missing: list[Missing]
    """Empty: the gate lets it pass."""


__all__ = ["Candidate", "Missing", "Scores"]
