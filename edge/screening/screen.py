"""The screening of one request: what it may carry out, what its answer may bring, and what guards say of both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edge.config import Guard
from edge.journal import Exchange
from edge.openai_api import Refusal, bad
from edge.redaction import Detection, Finding, Placeholders, Reach, hidden
from edge.routing.endpoint import Unsent
from edge.screening.client import DetectorClient, Looked
from edge.screening.guards import Judge, decide, judged, note
from edge.screening.pieces import Pieces
from edge.screening.texts import Opaque, opaque, replaced, texts_of, without_fields

REDACTION = "redaction"


class Screen:
    """Belongs to the one task that answers the request. Each step raises Refusal, and nothing goes on then."""

    def __init__(
        self,
        detector: DetectorClient,
        judges: dict[str, Judge],
        guards: list[Guard],
        exchange: Exchange,
        asked: dict[str, Any],
        *,
        restore: bool,
    ) -> None:
        self._detector, self._judges, self._exchange = detector, judges, exchange
        self._asked, self._restore = asked, restore
        self._on_prompt = [guard for guard in guards if guard.on != "outputs"]
        self._on_answer = [guard for guard in guards if guard.on != "prompts"]
        self._sought = frozenset(entity for guard in self._on_answer for entity in guard.entities or ())
        self._most = min((guard.max_characters for guard in guards if guard.max_characters), default=None)
        self._reach = Reach(0)
        self._placeholders: Placeholders | None = None
        self._redacted: dict[str, Any] | None = None
        self._left = False

    async def prompt(self) -> None:
        """Before anything is forwarded: the detector is there, and no guard says no to the prompt."""
        entities = {entity for guard in self._on_prompt for entity in guard.entities or ()}
        if not (entities or self._sought or any(guard.model for guard in self._on_prompt)):
            return
        texts = self._texts(self._asked)
        looked = await self._detector.look(texts if entities else [], entities, self._sought)
        self._reach = looked.reach
        if self._sought and self._asked.get("stream") and self._asked.get("logprobs"):
            raise bad(
                "invalid_logprobs",
                "Streams are looked through here, and give no 'logprobs'; ask without one.",
            )
        findings = [each for one in looked.detections for each in one.findings]
        judged(self._on_prompt, findings, looked.version, self._exchange)
        for guard in self._on_prompt:
            if guard.model is not None:
                await self._judges[guard.name].judge(guard, [("user", "\n".join(texts))], self._exchange)

    async def leaving(self) -> dict[str, Any]:
        """The request as it may go out. Raises Refusal 503, and MayNotLeave where it may not go at all."""
        if self._redacted is None:
            if opaque(self._asked):
                raise MayNotLeave("What it holds beside text cannot be redacted.")
            # Who asks is nobody's business out there: `user`, and names of participants, which take no placeholder.
            asked = {key: value for key, value in self._asked.items() if key != "user"}
            messages: list[dict[str, Any]] = asked.get("messages", [])
            for at, message in enumerate(messages):
                asked["messages"] = [*asked["messages"]]
                asked["messages"][at] = {key: value for key, value in message.items() if key != "name"}
            texts = self._texts(asked)
            looked = await self._detector.look(texts, None)
            self._redacted = self._out(asked, texts, looked)
        self._left = True
        return self._redacted

    def _out(self, asked: dict[str, Any], texts: list[str], looked: Looked) -> dict[str, Any]:
        uncovered = sorted({language for one in looked.detections for language in one.patterns_only})
        if uncovered or not looked.names:
            languages = ",".join(uncovered) or "any"
            note(self._exchange, REDACTION, looked.version, f"patterns only {languages}")
            raise MayNotLeave("Names in its language cannot be redacted here.")
        placeholders = self._placeholders = Placeholders(texts)
        made = [
            placeholders.redact(text, one.findings)
            for text, one in zip(texts, looked.detections, strict=True)
        ]
        found = [each.entity for one in looked.detections for each in one.findings]
        if found:
            counts = ",".join(f"{entity}={found.count(entity)}" for entity in sorted({*found}))
            note(self._exchange, REDACTION, looked.version, f"redacted {counts}")
        else:
            note(self._exchange, REDACTION, looked.version, "nothing")
        return replaced(asked, made)

    async def whole(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer as the caller may have it."""
        choices = answer.get("choices")
        if not isinstance(choices, list):
            return answer
        # Tokens with their probabilities are the answer again, in pieces that nobody recognises.
        bare = [_without_words(each) for each in choices]
        texts = self._texts(bare)
        self.measured(sum(map(len, texts)))
        if self._sought:
            looked = await self._detector.look(texts, self._sought)
            made, found = self._of_answer(texts, looked)
            if found:
                choices = replaced(bare, made)
        await self.judge_answer(texts)
        return {**answer, "choices": self._restored(choices)}

    def pieces(self) -> Pieces:
        """For an answer that comes as a stream."""
        return Pieces(
            self, self._reach if self._sought else None, self._placeholders if self.restores else None
        )

    @property
    def restores(self) -> bool:
        """Whether the answer gets back what was taken out of its prompt."""
        return (
            self._left and self._restore and self._placeholders is not None and bool(len(self._placeholders))
        )

    @property
    def judges_answers(self) -> bool:
        """Whether a model judges the answer, which it can only of all of it."""
        return any(guard.model is not None for guard in self._on_answer)

    async def found(self, texts: list[str]) -> list[Detection]:
        """What is to be hidden of pieces of the answer; raises Refusal where a guard says no, or nobody can tell."""
        looked = await self._detector.look(texts, self._sought)
        self._of_answer(texts, looked)
        return [replace(one, findings=self._hiding(one.findings)) for one in looked.detections]

    def _of_answer(self, texts: list[str], looked: Looked) -> tuple[list[str], bool]:
        findings = [each for one in looked.detections for each in one.findings]
        judged(self._on_answer, findings, looked.version, self._exchange)
        made = [
            hidden(text, self._hiding(one.findings))
            for text, one in zip(texts, looked.detections, strict=True)
        ]
        return made, made != texts

    def _hiding(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        redacts = {
            entity for guard in self._on_answer if guard.then == "redact" for entity in guard.entities or ()
        }
        return tuple(each for each in findings if each.entity in redacts)

    def measured(self, characters: int) -> None:
        """Raise Refusal where an answer has become longer than a guard lets it be."""
        if self._most is None or characters <= self._most:
            return
        guard = next(each for each in self._on_answer if each.max_characters == self._most)
        decide(guard, str(self._most), self._exchange)

    async def judge_answer(self, texts: list[str]) -> None:
        """What models say of the whole answer; raises Refusal."""
        for guard in self._on_answer:
            if guard.model is not None:
                said = [("user", "\n".join(self._texts(self._asked))), ("assistant", "\n".join(texts))]
                await self._judges[guard.name].judge(guard, said, self._exchange)

    def _restored(self, choices: Any) -> Any:
        if not self.restores or self._placeholders is None:
            return choices
        return replaced(choices, [self._placeholders.restore(text) for text in self._texts(choices)])

    @staticmethod
    def _texts(value: Any) -> list[str]:
        try:
            return texts_of(value)
        except (RecursionError, Opaque):
            raise bad("malformed_json", "The body is nested too deeply.") from None


class MayNotLeave(Unsent):
    """The request may not go to a place beyond the site; another of its places may take it."""

    def __init__(self, why: str) -> None:
        super().__init__(422, "may_not_leave", f"This request may not leave the site. {why}")


def _without_words(choice: Any) -> Any:
    """Tokens with their probabilities, and names of fields with their scores, are the answer again, in the clear."""
    if not isinstance(choice, dict):
        return choice
    made = {**choice, "logprobs": None} if "logprobs" in choice else choice
    return without_fields(made)


__all__ = ["REDACTION", "MayNotLeave", "Refusal", "Screen"]
