"""`screening` of a gateway: what is redacted of what passes, by whose word, and what guards say no to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from edge.config.base import DataClass, Name, Strict, require_loopback
from edge.config.routes import Server

Redacted = Literal["secrets-in-outputs", "prompts-leaving-site", "leaving-class", "logs"]
REDACTED: dict[DataClass, tuple[Redacted, ...]] = {
    "public": ("secrets-in-outputs",),
    "internal": ("prompts-leaving-site", "secrets-in-outputs", "logs"),
    "confidential": ("prompts-leaving-site", "leaving-class", "logs"),
    "restricted": ("leaving-class", "logs"),
}
"""What a class demands. A test compares it with `isthmus.contracts.reference.handling`. Logs hold no content."""
Entity = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,40}$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class GuardModel(Server):
    """A model of the class that says `safe` or `unsafe`: an endpoint of task `guard`."""


class Guard(Strict):
    """One guard: what it looks at, for what, and what it then does."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    on: Literal["prompts", "outputs", "both"]
    workloads: list[Name] | None = None
    """Absent: all."""
    entities: Annotated[list[Entity], Field(min_length=1)] | None = None
    """Found by the detector: `SECRET`, `PERSON`, …, `PROMPT_ATTACK`, and `TOPIC_…` of its rules."""
    max_characters: Annotated[int, Field(ge=1)] | None = None
    """Of all that is answered."""
    model: GuardModel | None = None
    then: Literal["refuse", "redact", "record", "review"] = "refuse"
    """`review`: the answer is held for people, whether the guard looked at the prompt or at the answer."""

    @model_validator(mode="after")
    def _of_one_kind(self) -> Guard:
        kinds = (self.entities, self.max_characters, self.model)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError(f"{self.name}: entities, max_characters or model, one of the three")
        if self.then == "redact" and (self.entities is None or self.on != "outputs"):
            raise ValueError(f"{self.name}: only entities in outputs are redacted by a guard")
        if self.max_characters is not None and self.on != "outputs":
            raise ValueError(f"{self.name}: max_characters is of outputs")
        return self


class Screening(Strict):
    """Detection, and what follows of it."""

    detector: str
    """Such as `http://127.0.0.1:8460`: in the gateway's own pod."""
    limit_s: Annotated[float, Field(gt=0, le=60)] = 2
    """A detector that takes longer is down."""
    languages: list[Language] = ["en"]
    """Of what is written here, the likeliest first."""
    redacted: list[Redacted] = []
    """Beside what the class demands."""
    restore: bool = True
    """Whether an answer gets back what was taken out of its prompt."""
    images: Literal["refuse", "pass"] = "refuse"
    """What happens to an image where a guard judges prompts: no guard reads images. Tokens are always refused there."""
    guards: list[Guard] = []

    @field_validator("detector")
    @classmethod
    def _loopback(cls, url: str) -> str:
        return require_loopback(url, "http://127.0.0.1:8460")

    @model_validator(mode="after")
    def _named_once(self) -> Screening:
        names = [guard.name for guard in self.guards]
        if duplicate := next((name for name in names if names.count(name) > 1 or name == SECRETS), None):
            raise ValueError(f"guards: {duplicate!r} is taken")
        return self

    def demanded(self, data_class: DataClass) -> frozenset[Redacted]:
        """What is redacted of the class."""
        return frozenset([*REDACTED[data_class], *self.redacted])

    def guards_of(self, data_class: DataClass, workload: str) -> list[Guard]:
        """A workload's, the class's own first."""
        guards = [guard for guard in self.guards if guard.workloads is None or workload in guard.workloads]
        if "secrets-in-outputs" not in self.demanded(data_class):
            return guards
        return [Guard(name=SECRETS, on="outputs", entities=["SECRET", "CARD_CODE"], then="redact"), *guards]


SECRETS = "secrets-in-outputs"
