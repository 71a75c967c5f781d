"""The detector: a text in, what is to be hidden of it out. It knows of no gateway and of no network."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

from edge.redaction import language
from edge.redaction.entities import EntityModel
from edge.redaction.findings import Detection, Finding, apart
from edge.redaction.recogniser import Text, TooSlow
from edge.redaction.rules import NAMES, Rules, only_guarded
from edge.redaction.secrets import PRIVATE_KEY, PRIVATE_KEY_BEGINS, PRIVATE_KEY_ENDS, SECRET
from edge.redaction.streaming import Reach

_KEY, _KEY_ENDS = re.compile(PRIVATE_KEY), re.compile(PRIVATE_KEY_ENDS)


class Detector:
    """Rules made ready. Raises NoModel where a model is not the promised one."""

    def __init__(self, rules: Rules) -> None:
        self.rules, self.version = rules, rules.version
        self._recognisers = list(rules.recognisers())
        for each in self._recognisers:
            _ = each.compiled
        self._names = frozenset(filter(rules.wants, NAMES))
        self._models = (
            {model.of_language: EntityModel(model) for model in rules.models} if self._names else {}
        )
        if self._names:
            language.ready()

    @property
    def covered(self) -> tuple[str, ...]:
        """The languages whose names a trusted model looks for."""
        return tuple(sorted(self._models))

    @property
    def looks_for_names(self) -> bool:
        """Whether the rules want all that a model finds, in the languages that have one."""
        return self._names == frozenset(NAMES)

    def reach(self, entities: frozenset[str] | None = None) -> Reach:
        """How far matches of these entities can reach in a text that comes in pieces."""
        wanted = [
            each
            for each in self._recognisers
            if (each.entity in entities if entities is not None else not only_guarded(each.entity))
        ]
        return Reach(
            widest=max((each.width for each in wanted), default=0),
            words=max((each.width for each in wanted if each.sort == "free"), default=0),
            groups=any(each.sort == "groups" for each in wanted),
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
        """What is found of the entities (None: of all). Raises TooSlow after `limit_s`.

        `declared` are the languages that the text may be in, the likeliest first. `before` is what patterns see stand
        before the text, such as the name of the field that it is of; it is of no language, and nothing is found in it.
        """
        until = time.monotonic() + limit_s
        found = [
            *self._private_keys(text, entities),
            *self._patterns(before, text, entities, until),
        ]
        names = self._names if entities is None else self._names & entities
        if not names:
            return Detection(apart(found), (), ())
        languages: dict[str, None] = {}
        uncovered: dict[str, None] = {}
        for start, line, spoken in language.lines(text, (*declared, *self.rules.languages)[0]):
            languages[spoken] = None
            if (model := self._models.get(spoken)) is None:
                if any(map(str.isalpha, line)):
                    uncovered[spoken] = None
                continue
            found += (_moved(each, start) for each in model.find(line, names, until))
        return Detection(apart(found), tuple(languages), tuple(uncovered))

    def _patterns(
        self, before: str, text: str, entities: frozenset[str] | None, until: float
    ) -> Iterator[Finding]:
        plain, begin = Text(before + text, until), len(before)
        for each in self._recognisers:
            if each.entity not in entities if entities is not None else only_guarded(each.entity):
                continue
            if time.monotonic() > until:
                raise TooSlow
            for start, end, score in each.spans(plain):
                if end > begin:
                    yield Finding(max(start - begin, 0), end - begin, each.entity, score, each.name)

    def _private_keys(self, text: str, entities: frozenset[str] | None) -> Iterator[Finding]:
        """From its first line to its last, or to the end of a text that was cut."""
        if PRIVATE_KEY_BEGINS not in text or (entities is not None and SECRET not in entities):
            return
        for begins in _KEY.finditer(text):
            ends = _KEY_ENDS.search(text, begins.end())
            yield Finding(begins.start(), ends.end() if ends else len(text), SECRET, 1, "private-key")


def _moved(one: Finding, by: int) -> Finding:
    return Finding(one.start + by, one.end + by, one.entity, one.score, one.rule)
