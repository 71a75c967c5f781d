"""Redacts one document: replaces findings in its texts by placeholders, and counts them.

A document is what a person reads as one unit: a text, a line of a JSON lines file, a row. A value has the same
placeholder throughout a document. Numbering starts again in each document, so that placeholders cannot link two
documents.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from edge.redaction import Detector, Finding, Placeholders, Rules
from edge.redaction.rules import NAMES, only_guarded

SURE = 0.85
"""Score from which a finding in the name of a field or file is refused, because names are not redacted."""
_SHORT, _REMEMBERED = 120, 50_000
"""Short texts often repeat in tables, so results for texts of at most `_SHORT` characters are cached, `_REMEMBERED` of
them.
"""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_JOINTS = re.compile(r"[\s_.:/-]+")


Detected = tuple[tuple[Finding, ...], frozenset[str]]
"""Findings of a text, and its languages without a model."""


@dataclass(frozen=True)
class Document:
    """The texts that are redacted together."""

    texts: tuple[tuple[str, str], ...] = ()
    """Name of the field and text."""
    names: tuple[str, ...] = ()
    """Names of fields and of the file. They are not changed, so they must not contain findings."""


@dataclass(frozen=True)
class Cleaned:
    """The redacted document."""

    texts: tuple[str, ...]
    found: Counter[str] = field(default_factory=Counter)
    patterns_only: frozenset[str] = frozenset()
    """Languages without a model for names; `any` if the rules do not look for names."""
    telling: tuple[int, str] | None = None
    """Index in `names` of a name with a finding, and the entity."""


class Cleaner:
    """Redacts documents with prepared rules. Raises NoModel."""

    def __init__(self, rules: Rules, languages: Sequence[str] = ()) -> None:
        self._detector, self._languages = Detector(rules), tuple(languages)
        # A model takes placeholders and their context for names, so it sees each text once, before redaction.
        self._patterns = Detector(rules.model_copy(update={"models": []}))
        self.version = self._detector.version
        entities = {
            *NAMES,
            *(recogniser.entity for recogniser in rules.recognisers() if not only_guarded(recogniser.entity)),
        }
        self._placeholder = re.compile(rf"<(?:{'|'.join(sorted(entities))})_[0-9]{{1,6}}>")
        self._not_names = frozenset(entities - {*NAMES})
        self._remembered = lru_cache(_REMEMBERED)(self._look)

    def clean(self, document: Document) -> Cleaned:
        """Redact a document.

        Patterns are applied until they find nothing more, because a placeholder can expose new matches.
        """
        placeholders = Placeholders(text for _, text in document.texts)
        counts: Counter[str] = Counter()
        uncovered: set[str] = set()
        texts = []
        for name, text in document.texts:
            before = label_of_field(name)
            findings, languages = self._seen(before, text)
            uncovered |= languages
            while remaining := list(self._outside(text, findings)):
                counts.update(finding.entity for finding in remaining)
                text = placeholders.redact(text, remaining)
                findings, _ = self._seen(before, text, again=True)
            texts.append(text)
        return Cleaned(tuple(texts), counts, frozenset(uncovered), self._telling(document.names))

    def _seen(self, before: str, text: str, *, again: bool = False) -> Detected:
        return (self._remembered if len(text) <= _SHORT else self._look)(before, text, again)

    def _look(self, before: str, text: str, again: bool) -> Detected:
        detector = self._patterns if again else self._detector
        detection = detector.detect(text, self._languages, before=before)
        uncovered = frozenset(detection.patterns_only)
        if not self._detector.looks_for_names and any(map(str.isalpha, text)):
            uncovered |= {"any"}
        return detection.findings, uncovered

    def _outside(self, text: str, findings: Sequence[Finding]) -> Iterator[Finding]:
        """Yield the parts of the findings outside placeholders."""
        placeholder_spans = [match.span() for match in self._placeholder.finditer(text)] if findings else []
        ends = [end for _, end in placeholder_spans]
        for finding in findings:
            at, next_ = finding.start, bisect_right(ends, finding.start)
            if next_ == len(placeholder_spans) or placeholder_spans[next_][0] >= finding.end:
                yield finding
                continue
            while at < finding.end:
                start, end = (
                    placeholder_spans[next_] if next_ < len(placeholder_spans) else (finding.end, finding.end)
                )
                if any(map(str.isalnum, text[at : min(start, finding.end)])):
                    yield Finding(at, min(start, finding.end), finding.entity, finding.score, finding.rule)
                at, next_ = max(at, end), next_ + 1

    def _telling(self, names: Sequence[str]) -> tuple[int, str] | None:
        for at, name in enumerate(names):
            for finding in self._detector.detect(name, entities=self._not_names).findings:
                if finding.score >= SURE:
                    return at, finding.entity
        return None


def label_of_field(name: str) -> str:
    """Return a field's name as words, to put before its text: `dateOfBirth` gives the context `date of birth:`."""
    label = _JOINTS.sub(" ", _CAMEL.sub(" ", name)).strip()
    return f"{label}: " if label else ""
