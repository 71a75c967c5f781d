"""Scores one answer at its end, and removes log-probabilities that the caller did not ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.answer_models import CONFIDENCE
from edge.confidence.calibration import Calibration
from edge.confidence.measure import ChoiceContent, Kind, Unmeasured, measure_answer, read_choice
from edge.confidence.score import Score
from edge.confidence.tokens import NoTokens, Tokens

MAX_TEXT = 16 * 1024 * 1024
UNSURE_BELOW, MOST_UNSURE = 0.5, 400
"""Probability below which reviewers see a word marked, and the number of marked parts of an answer at most."""


@dataclass(frozen=True)
class CalibrationChoice:
    """The calibrations for a workload's answers from one place."""

    by_kind: Mapping[Kind, tuple[Calibration, str]]
    """Calibrations of the place's weights, each with the digest of its file."""
    without: str = "no calibration"
    """Reason if there is no calibration for a kind."""


@dataclass
class _Choice:
    """What a stream has sent of a choice so far."""

    text: list[str] = field(default_factory=list)
    arguments: dict[int, list[str]] = field(default_factory=dict)
    tokens: Tokens = field(default_factory=Tokens)
    size: int = 0
    broken: bool = False
    over: bool = False

    def add(self, pieces: list[str], piece: str) -> None:
        """Add a piece of text. Raises NoTokens above `MAX_TEXT`, because a stream may be endless."""
        self.size += len(piece)
        if self.size > MAX_TEXT:
            raise NoTokens("there is too much text")
        pieces.append(piece)


class AfterTheEnd(ValueError):
    """A choice continued after its end, so its score did not cover all of it."""


class AnswerScorer:
    """Scores the answer of one request. `outcome` is for the audit record."""

    def __init__(
        self,
        calibrations: CalibrationChoice,
        *,
        structured: bool,
        keeps_logprobs: bool,
        below: float | None = None,
    ) -> None:
        """`structured`: the request asks for JSON. `keeps_logprobs`: the caller asked for log-probabilities. `below`:
        scores below this one are marked as low.
        """
        self._below = below
        self._chosen, self._structured, self._keeps = calibrations, structured, keeps_logprobs
        self._choices: dict[int, _Choice] = {}
        self._scores: list[Score | None] = []
        self._why = "cut"
        self._read: list[tuple[str, Tokens]] = []
        """The text of each choice with its tokens."""

    @property
    def score(self) -> Score | None:
        """The lowest score of all choices. None if a choice has no score or did not end, or without choices."""
        scores = [score for score in self._scores if score is not None]
        is_incomplete = any(not choice.over for choice in self._choices.values())
        if not scores or len(scores) < len(self._scores) or is_incomplete:
            return None
        return min(scores, key=lambda score: score.value)

    @property
    def outcome(self) -> dict[str, Any]:
        """The lowest score of all choices with its calibration and raw measure, or the reason why there is none."""
        score = self.score
        if score is None:
            return {"score": None, "why": self._why}
        return {
            "score": score.value,
            "calibration": score.calibration,
            "kind": score.kind,
            "log_measure": round(score.log_measure, 6),
        }

    def unsure(self) -> dict[str, list[tuple[int, int, float]]]:
        """By the text of a choice: its parts of low probability (`Tokens.unsure`). For reviewers alone."""
        parts: dict[str, list[tuple[int, int, float]]] = {}
        for text, tokens in self._read:
            with contextlib.suppress(NoTokens, UnicodeError):
                parts[text] = tokens.unsure(text, UNSURE_BELOW, MOST_UNSURE)
        return parts

    def whole(self, answer: Mapping[str, Any]) -> None:
        """Score each choice of a whole answer."""
        for choice in _objects(answer.get("choices")):
            tokens = Tokens()
            try:
                if self._chosen.by_kind:
                    tokens.take(choice.get("logprobs"))
                score = self._score(read_choice(choice), tokens)
            except NoTokens:
                score = self._without("no log-probabilities")
            except Unmeasured as error:
                score = self._without(str(error))
            self._tell(choice, score)

    def chunk(self, chunk: Mapping[str, Any]) -> None:
        """Take a chunk of a stream, and score the choices that end in it. Raises AfterTheEnd."""
        for choice in _objects(chunk.get("choices")):
            index = choice.get("index", 0)
            streamed = self._choices.setdefault(index if isinstance(index, int) else 0, _Choice())
            if streamed.over:
                raise AfterTheEnd
            choice.pop(CONFIDENCE, None)  # only the gateway may set it
            self._hear(streamed, choice)
            if (finish := choice.get("finish_reason")) is not None:
                streamed.over = True
                self._tell(choice, self._at_the_end(streamed, finish))
            elif not self._keeps:
                choice.pop("logprobs", None)

    def _hear(self, streamed: _Choice, choice: Mapping[str, Any]) -> None:
        if not self._chosen.by_kind or streamed.broken:
            return
        delta = choice.get("delta")
        try:
            if choice.get("logprobs") is not None:
                streamed.tokens.take(choice["logprobs"])
            if isinstance(delta, dict):
                streamed.add(streamed.text, delta.get("content") or "")
                for call in delta.get("tool_calls") or []:
                    pieces = streamed.arguments.setdefault(call.get("index", 0), [])
                    streamed.add(pieces, (call.get("function") or {}).get("arguments") or "")
        except (NoTokens, AttributeError, TypeError):
            streamed.broken = True

    def _at_the_end(self, streamed: _Choice, finish: Any) -> Score | None:
        try:
            if streamed.broken:
                raise Unmeasured("unreadable")
            arguments = ["".join(streamed.arguments[number]) for number in sorted(streamed.arguments)]
            return self._score(ChoiceContent("".join(streamed.text), arguments, finish), streamed.tokens)
        except (Unmeasured, TypeError) as error:
            return self._without(str(error) if isinstance(error, Unmeasured) else "unreadable")

    def _score(self, answer: ChoiceContent, tokens: Tokens) -> Score | None:
        """Raises Unmeasured."""
        self._read.append((answer.text, tokens))
        structured = self._structured or bool(answer.arguments)
        kind: Kind = "fields" if structured else "text"
        calibration_and_digest = self._chosen.by_kind.get(kind)
        if calibration_and_digest is None:
            return self._without(self._chosen.without)
        if not tokens.ends:
            return self._without("no log-probabilities")
        calibration, digest = calibration_and_digest
        measures = measure_answer(answer, tokens, structured=structured)
        values = {pointer: calibration.curve.score(log_measure) for pointer, log_measure in measures.items()}
        lowest = min(measures.values())
        return Score(min(values.values()), digest, lowest, kind, values if structured else None)

    def _without(self, why: str) -> None:
        self._why = why

    def _tell(self, choice: dict[str, Any], score: Score | None) -> None:
        self._scores.append(score)
        field_value: dict[str, Any] = {"score": score.value if score else None}
        if score is not None and score.fields is not None:
            field_value["fields"] = dict(score.fields)
        if score is not None and self._below is not None and not score.value >= self._below:
            field_value["low"] = True
        choice[CONFIDENCE] = field_value
        if not self._keeps:
            choice.pop("logprobs", None)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [element for element in value if isinstance(element, dict)] if isinstance(value, list) else []
