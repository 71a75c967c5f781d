"""Settings `rules` of redaction, and the version that identifies rules, code and libraries."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from edge.redaction.contacts import CONTACTS
from edge.redaction.identifiers import IDENTIFIERS
from edge.redaction.models import TRUSTED
from edge.redaction.prompt_attacks import ATTACK, ATTACKS
from edge.redaction.recogniser import BadPattern, Recogniser
from edge.redaction.secrets import PRIVATE_KEY, SECRET, SECRETS
from edge.strict_model import Name, Strict

Entity = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,40}$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
NAMES = ("PERSON", "LOCATION", "ORGANIZATION")
"""Entities that a model finds."""


def only_guarded(entity: str) -> bool:
    """Whether only guards use the entity. It identifies nobody, so it is not redacted."""
    return entity == ATTACK or entity.startswith("TOPIC_")


class OwnPattern(Strict):
    """A pattern of the organisation's own, in RE2's syntax, with a bound on what it can match."""

    entity: Entity
    pattern: Annotated[str, Field(min_length=1, max_length=1000)]
    context: list[Name] = []
    """Words of which one must be in the 60 characters before a match. `*` stands for the rest of a word. Absent: no
    word is required."""

    @model_validator(mode="after")
    def _can_be_used(self) -> OwnPattern:
        try:
            recogniser = self.recogniser(0)
            _ = recogniser.compiled, recogniser.width
        except BadPattern as error:
            raise ValueError(f"pattern of {self.entity}: {error}") from None
        if recogniser.compiled.fullmatch(b"") is not None:
            raise ValueError(f"pattern of {self.entity}: it matches nothing at all, and so everywhere")
        return self

    def recogniser(self, number: int) -> Recogniser:
        """The recogniser of this pattern."""
        return Recogniser(
            self.entity,
            f"own-{number}",
            self.pattern,
            sort="free",
            context=tuple(word.lower() for word in self.context),
            needs_context=bool(self.context),
            alone=False,
            score=0.85,
        )


class ModelFile(Strict):
    """A wheel with an entity model: a trusted one, or one with `sha256` and `language`."""

    file: Path
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    language: Language | None = None

    @model_validator(mode="after")
    def _known(self) -> ModelFile:
        if (self.sha256 is None) != (self.language is None):
            raise ValueError("sha256 and language are stated together, for a model that is not in the list")
        if self.sha256 is None and self.file.name not in TRUSTED:
            raise ValueError(
                f"{self.file.name} is no trusted model: {', '.join(sorted(TRUSTED))}; state sha256 and language"
            )
        trusted = TRUSTED.get(self.file.name)
        if trusted is not None and self.sha256 not in (None, trusted.sha256):
            raise ValueError(f"{self.file.name} has another sha256 than its maker's, {trusted.sha256}")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 that the file must have."""
        return self.sha256 or TRUSTED[self.file.name].sha256

    @property
    def of_language(self) -> str:
        """Language of the names that it finds."""
        return self.language or TRUSTED[self.file.name].language


class Topic(Strict):
    """A topic that an organisation wants to block; its entity is `TOPIC_<NAME>`."""

    name: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,30}$")]
    phrases: Annotated[list[Annotated[str, Field(min_length=3, max_length=100)]], Field(min_length=1)]
    """Whole words, in upper or lower case; a space stands for one or two."""

    def recogniser(self) -> Recogniser:
        """The recogniser of this topic."""
        phrases = "|".join(re.escape(phrase).replace("\\ ", " {1,2}") for phrase in self.phrases)
        return Recogniser(
            f"TOPIC_{self.name}", f"topic-{self.name.lower()}", f"(?i:{phrases})", sort="free", score=0.85
        )


class Rules(Strict):
    """Settings `rules`: the entities, patterns, topics and models of a detector."""

    jurisdictions: list[Language] | None = None
    """Jurisdictions whose numbers are recognised. Absent: all known ones."""
    entities: list[Entity] | None = None
    """Absent: all."""
    patterns: list[OwnPattern] = []
    topics: list[Topic] = []
    models: list[ModelFile] = []
    languages: list[Language] = ["en"]
    """Languages of the texts. Texts that are too short to recognise count as the first."""

    @field_validator("models")
    @classmethod
    def _one_a_language(cls, models: list[ModelFile]) -> list[ModelFile]:
        languages = [model.of_language for model in models]
        if len(set(languages)) < len(languages):
            raise ValueError("one model a language")
        return models

    def recognisers(self) -> Iterator[Recogniser]:
        """The recognisers of these rules."""
        for recogniser in (*SECRETS, *IDENTIFIERS, *CONTACTS):
            applies = (
                self.jurisdictions is None
                or not recogniser.jurisdictions
                or recogniser.jurisdictions & {*self.jurisdictions}
            )
            if applies and self.wants(recogniser.entity):
                yield recogniser
        for number, pattern in enumerate(self.patterns, 1):
            yield pattern.recogniser(number)
        yield from ATTACKS
        yield from (topic.recogniser() for topic in self.topics)

    def wants(self, entity: str) -> bool:
        """Whether the rules look for the entity. They always look for secrets."""
        return self.entities is None or entity == SECRET or entity in self.entities

    @property
    def version(self) -> str:
        """Identifies everything that decides findings: this code, the settings, the models and the libraries."""
        checksum = hashlib.sha256(_code())
        settings = self.model_dump(mode="json")
        settings["models"] = sorted([model.of_language, model.digest] for model in self.models)
        settings["private_key"] = PRIVATE_KEY
        settings["libraries"] = {name: _version(name) for name in LIBRARIES}
        checksum.update(json.dumps(settings, sort_keys=True).encode())
        return f"rules-{checksum.hexdigest()[:16]}"


LIBRARIES = ("google-re2", "python-stdnum", "py3langid", "spacy")


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None  # spaCy, where no rules name a model


def _code() -> bytes:
    return b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
