"""The detector: takes a text and returns the findings to hide. It uses no gateway and no network."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

from edge.redaction import language
from edge.redaction.entities import EntityModel
from edge.redaction.findings import Detection, Finding, merge_overlapping
from edge.redaction.normalise import forms
from edge.redaction.recogniser import Recogniser, Text, TooSlow
from edge.redaction.rules import NAMES, Rules, only_guarded
from edge.redaction.secrets import PRIVATE_KEY, PRIVATE_KEY_BEGINS, PRIVATE_KEY_ENDS, SECRET
from edge.redaction.streaming import Reach

_KEY, _KEY_ENDS = re.compile(PRIVATE_KEY), re.compile(PRIVATE_KEY_ENDS)


class Detector:
    """Compiled rules with their models. Raises NoModel if a model's file is missing or has the wrong digest."""

    def __init__(self, rules: Rules) -> None:
        self.rules, self.version = rules, rules.version
        self._recognisers = list(rules.recognisers())
        for recogniser in self._recognisers:
            recogniser.make_ready()
        self._names = frozenset(filter(rules.wants, NAMES))
        self._models = (
            {model.of_language: EntityModel(model) for model in rules.models} if self._names else {}
        )
        if self._names:
            language.load_model()

    @property
    def covered(self) -> tuple[str, ...]:
        """The languages in which a trusted model looks for names."""
        return tuple(sorted(self._models))

    @property
    def looks_for_names(self) -> bool:
        """Whether the rules ask for all kinds of names that models find."""
        return self._names == frozenset(NAMES)

    def reach(self, entities: frozenset[str] | None = None) -> Reach:
        """How much text a stream must hold back for matches of these entities."""
        recognisers = list(self._wanted(entities))
        return Reach(
            widest=max((recogniser.width for recogniser in recognisers), default=0),
            words=max(
                (recogniser.width for recogniser in recognisers if recogniser.sort == "free"), default=0
            ),
            groups=any(recogniser.sort == "groups" for recogniser in recognisers),
            lines=bool(self._names if entities is None else self._names & entities) and bool(self._models),
        )

    def detect(
        self,
        text: str,
        declared: Sequence[str] = (),
        *,
        entities: frozenset[str] | None = None,
        limit_s: float = float("inf"),
        before: str = "",
    ) -> Detection:
        """The findings of the entities (None: all) in a text. Raises TooSlow after `limit_s`.

        `declared`: possible languages of the text, the most likely first. `before`: text that patterns see before
        the text, for example the name of its field. It has no language, and nothing is detected in it.
        """
        until = time.monotonic() + limit_s
        begin = len(before)
        texts = [Text(form, until) for form in forms(before + text)]
        findings = [
            *self._private_keys(texts, begin, entities),
            *self._patterns(texts, begin, entities, until),
        ]
        undecided = self._undecided(texts, begin, len(text), entities)
        names = self._names if entities is None else self._names & entities
        if not names:
            return Detection(merge_overlapping(findings), (), (), undecided)
        languages: dict[str, None] = {}
        uncovered: dict[str, None] = {}
        for start, line, language_code in language.lines_with_language(
            text, (*declared, *self.rules.languages)[0]
        ):
            languages[language_code] = None
            if (model := self._models.get(language_code)) is None:
                if any(map(str.isalpha, line)):
                    uncovered[language_code] = None
                continue
            findings += (_shifted(finding, start) for finding in model.find(line, names, until))
        return Detection(merge_overlapping(findings), tuple(languages), tuple(uncovered), undecided)

    def _patterns(
        self, texts: Sequence[Text], begin: int, entities: frozenset[str] | None, until: float
    ) -> Iterator[Finding]:
        """Findings in all forms of the text, from character `begin` of the original on."""
        for recogniser in self._wanted(entities):
            if time.monotonic() > until:
                raise TooSlow
            for text in texts:
                for start, end, score in recogniser.spans(text):
                    if end > begin:
                        yield Finding(
                            max(start - begin, 0), end - begin, recogniser.entity, score, recogniser.name
                        )

    def _wanted(self, entities: frozenset[str] | None) -> Iterator[Recogniser]:
        for recogniser in self._recognisers:
            if recogniser.entity in entities if entities is not None else not only_guarded(recogniser.entity):
                yield recogniser

    def _undecided(
        self, texts: Sequence[Text], begin: int, length: int, entities: frozenset[str] | None
    ) -> int:
        word_recognisers = [recogniser for recogniser in self._wanted(entities) if recogniser.sort == "free"]
        positions = [
            recogniser.undecided(text) - begin
            for recogniser in word_recognisers
            for text in texts
            if text.raw
        ]
        return max(0, min(positions, default=length))

    def _private_keys(
        self, texts: Sequence[Text], begin: int, entities: frozenset[str] | None
    ) -> Iterator[Finding]:
        """Findings of private keys: from the first line to the last, or to the end of a cut text."""
        if entities is not None and SECRET not in entities:
            return
        for form in (text.form for text in texts):
            at = 0
            while PRIVATE_KEY_BEGINS in form.text and (begins := _KEY.search(form.text, at)) is not None:
                ends = _KEY_ENDS.search(form.text, begins.end())
                at = ends.end() if ends else len(form.text)
                start, end = form.span(begins.start(), at)
                if end > begin:
                    yield Finding(max(start - begin, 0), end - begin, SECRET, 1, "private-key")


def _shifted(finding: Finding, offset: int) -> Finding:
    return Finding(finding.start + offset, finding.end + offset, finding.entity, finding.score, finding.rule)
