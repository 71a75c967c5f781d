"""Settings `screening` of a gateway: what is redacted, which detector finds it, and the guards."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from edge.classes import CLASS_DEMANDS, DataClass, Redacted
from edge.config.base import Name, Strict, require_loopback
from edge.config.routes import Server

Entity = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,40}$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class GuardModel(Server):
    """A guard model of the class, which answers `safe` or `unsafe`: an endpoint of task `guard`."""


class Guard(Strict):
    """A guard: the texts that it checks, what it looks for, and its action."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    on: Literal["prompts", "outputs", "both"]
    workloads: list[Name] | None = None
    """Absent: all workloads."""
    entities: Annotated[list[Entity], Field(min_length=1)] | None = None
    """Entities that the detector finds: `SECRET`, `PERSON`, …, `PROMPT_ATTACK`, and `TOPIC_…` of its rules."""
    max_characters: Annotated[int, Field(ge=1)] | None = None
    """Maximum length of the answer."""
    model: GuardModel | None = None
    then: Literal["refuse", "redact", "record", "review"] = "refuse"
    """`review` holds the answer for people, for guards of prompts and of answers."""

    @model_validator(mode="after")
    def _of_one_kind(self) -> Guard:
        kinds = (self.entities, self.max_characters, self.model)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError(f"{self.name}: set exactly one of entities, max_characters and model")
        if self.then == "redact" and (self.entities is None or self.on != "outputs"):
            raise ValueError(f"{self.name}: `then: redact` needs entities and `on: outputs`")
        if self.max_characters is not None and self.on != "outputs":
            raise ValueError(f"{self.name}: max_characters needs `on: outputs`")
        return self


class Screening(Strict):
    """The detector, the redaction and the guards of a gateway."""

    detector: str
    """URL in the gateway's own pod, for example `http://127.0.0.1:8460`."""
    limit_s: Annotated[float, Field(gt=0, le=60)] = 2
    """Seconds after which the detector counts as down."""
    languages: list[Language] = ["en"]
    """Languages of the texts, the most likely first."""
    redacted: list[Redacted] = []
    """Redaction in addition to what the class requires."""
    restore: bool = True
    """Whether the answer gets the values back that placeholders replaced in the prompt."""
    images: Literal["refuse", "pass"] = "refuse"
    """What happens to images if a guard checks prompts: guards cannot read images. Token prompts are always refused."""
    guards: list[Guard] = []

    @field_validator("detector")
    @classmethod
    def _loopback(cls, url: str) -> str:
        return require_loopback(url, "http://127.0.0.1:8460")

    @model_validator(mode="after")
    def _named_once(self) -> Screening:
        names = [guard.name for guard in self.guards]
        if duplicate := next((name for name in names if names.count(name) > 1 or name == SECRETS), None):
            raise ValueError(f"guards: the name {duplicate!r} is used twice or reserved. Rename the guard")
        return self

    def demanded(self, data_class: DataClass) -> frozenset[Redacted]:
        """The redaction that class and settings require."""
        return frozenset([*CLASS_DEMANDS[data_class].redacted, *self.redacted])

    def guards_of(self, data_class: DataClass, workload: str) -> list[Guard]:
        """The guards of a workload, the class's own guard first."""
        guards = [guard for guard in self.guards if guard.workloads is None or workload in guard.workloads]
        if "secrets-in-outputs" not in self.demanded(data_class):
            return guards
        return [Guard(name=SECRETS, on="outputs", entities=["SECRET", "CARD_CODE"], then="redact"), *guards]


SECRETS = "secrets-in-outputs"
