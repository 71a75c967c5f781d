"""One document cleaned: its texts with placeholders, and what was found.

A document is what somebody reads as one: a text, a line of JSON lines, a row. The same value has the same placeholder
throughout it, and numbering begins anew in the next one: no two documents can be joined by a placeholder.
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
"""The score from which a field's name, or a file's, is taken for what names somebody: they are not redacted."""
_SHORT, _REMEMBERED = 120, 50_000
"""Texts of so many characters come again and again in tables; so many are remembered."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_JOINTS = re.compile(r"[\s_.:/-]+")


Detected = tuple[tuple[Finding, ...], frozenset[str]]
"""What was found in a text, and languages without a model."""


@dataclass(frozen=True)
class Document:
    """What is looked at together."""

    texts: tuple[tuple[str, str], ...] = ()
    """The name of the field that each is of, and the text."""
    names: tuple[str, ...] = ()
    """Of fields, and of the file: they stay as they are, and may hold nothing that is found."""


@dataclass(frozen=True)
class Cleaned:
    """The same texts, clean."""

    texts: tuple[str, ...]
    found: Counter[str] = field(default_factory=Counter)
    patterns_only: frozenset[str] = frozenset()
    """Languages in which no model looked for names; `any` where the rules ask for none."""
    telling: tuple[int, str] | None = None
    """Which of `names` holds something, and what."""


class Cleaner:
    """Rules made ready for documents. Raises NoModel."""

    def __init__(self, rules: Rules, languages: Sequence[str] = ()) -> None:
        self._detector, self._languages = Detector(rules), tuple(languages)
        # A model takes placeholders, and words around them, for names: it sees a text once, as it came.
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
        """Redact until no pattern finds anything any more: a placeholder can let stand alone what did not before."""
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
        """What of the findings is no placeholder of ours."""
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
    """A field's name as words that stand before its text: `dateOfBirth` says what `date of birth:` does."""
    label = _JOINTS.sub(" ", _CAMEL.sub(" ", name)).strip()
    return f"{label}: " if label else ""
