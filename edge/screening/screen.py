"""The screening of one request: what it may carry out, what its answer may bring, and what guards say of both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edge.config import Guard
from edge.exchange import Exchange
from edge.openai_api import Refusal, bad
from edge.redaction import Detection, Finding, Placeholders, Reach, hidden
from edge.routing.endpoint import Unsent
from edge.screening.client import DetectorClient, Looked
from edge.screening.guards import Judge, decide, judged, note
from edge.screening.split_values import add_findings, build_seams
from edge.screening.stream import Pieces
from edge.screening.texts import (
    Kind,
    adjacent_texts,
    answer_texts,
    replace_answer,
    replace_request,
    request_texts,
    unreadable,
    walk_arguments,
    walk_choices,
    without_fields,
)

REDACTION = "redaction"
_BETWEEN_WORDS = re.compile(r"[-_.:/]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_JSON_BEGINS = re.compile(r"\s*[\[{]\s*[\"\[{\]}]")


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
        images_pass: bool = False,
    ) -> None:
        self._detector, self._judges, self._exchange = detector, judges, exchange
        self._images_pass = images_pass
        self._asked, self._restore = asked, restore
        self._on_prompt = [guard for guard in guards if guard.on != "outputs"]
        self._on_answer = [guard for guard in guards if guard.on != "prompts"]
        self._sought = frozenset(entity for guard in self._on_answer for entity in guard.entities or ())
        self._most = min((guard.max_characters for guard in guards if guard.max_characters), default=None)
        self._reach = Reach(0)
        self._placeholders: Placeholders | None = None
        self._names: dict[str, str] = {}
        """What names of functions and properties, and ids of calls, were before they were redacted."""
        self._redacted: dict[str, Any] | None = None
        self._left = False

    async def prompt(self) -> None:
        """Before anything is forwarded: the detector is there, and no guard says no to the prompt."""
        entities = {entity for guard in self._on_prompt for entity in guard.entities or ()}
        if not (entities or self._sought or any(guard.model for guard in self._on_prompt)):
            return
        self._refuse_unreadable()
        pieces = request_texts(self._asked)
        texts = self._guarded_texts(pieces)
        read: list[str] = []
        if entities:
            separate = [text for text, _ in pieces]
            seams = build_seams(separate, adjacent_texts(self._asked))
            read = [*texts, *(seam.text for seam in seams)]
        looked = await self._detector.look(read, entities, self._sought)
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

    def _refuse_unreadable(self) -> None:
        """Raise Refusal 400 where a guard of prompts cannot read what it is to judge."""
        what = unreadable(self._asked)
        deciding = [guard for guard in self._on_prompt if guard.then != "record"]
        if what is None or not deciding or (what == "images" and self._images_pass):
            return
        guard = deciding[0]
        note(self._exchange, guard.name, "edge", f"refused {what}")
        raise Refusal(
            400,
            "content_blocked",
            f"The guard {guard.name!r} reads text only, and this request holds {what}. Send text in their place.",
        )

    async def leaving(self) -> dict[str, Any]:
        """The request as it may go out. Raises Refusal 503, and MayNotLeave where it may not go at all."""
        if self._redacted is None:
            if unreadable(self._asked):
                raise MayNotLeave("What it holds beside text cannot be redacted.")
            # Who asks is nobody's business out there: `user`, and names of participants, which take no placeholder.
            asked = {key: value for key, value in self._asked.items() if key != "user"}
            if "messages" in asked:
                asked["messages"] = [
                    {key: value for key, value in message.items() if key != "name"}
                    for message in asked["messages"]
                ]
            pieces = request_texts(asked)
            texts = [text for text, _ in pieces]
            seams = build_seams(texts, adjacent_texts(asked))
            looked = await self._detector.look([*texts, *(seam.text for seam in seams)], None)
            detections, across = looked.detections[: len(texts)], looked.detections[len(texts) :]
            looked = replace(looked, detections=add_findings(detections, seams, across))
            self._redacted = self._out(asked, texts, [kind for _, kind in pieces], looked)
        self._left = True
        return self._redacted

    def _out(
        self, asked: dict[str, Any], texts: list[str], kinds: Sequence[Kind], looked: Looked
    ) -> dict[str, Any]:
        prose = [one for one, kind in zip(looked.detections, kinds, strict=True) if kind == "text"]
        uncovered = sorted({language for one in prose for language in one.patterns_only})
        if uncovered or not looked.names:
            languages = ",".join(uncovered) or "any"
            note(self._exchange, REDACTION, looked.version, f"patterns only {languages}")
            raise MayNotLeave("Names in its language cannot be redacted here.")
        placeholders = self._placeholders = Placeholders(texts)
        made = []
        for text, kind, one in zip(texts, kinds, looked.detections, strict=True):
            redacted = placeholders.redact(text, one.findings)
            if redacted != text and kind == "fixed":
                note(self._exchange, REDACTION, looked.version, "seed")
                raise MayNotLeave("Its 'seed' looks like somebody's number; send another one.")
            if redacted != text and kind == "name":
                # Others refer to it, and take letters and digits only.
                redacted = redacted.replace("<", "").replace(">", "")
                self._names[redacted] = text
            made.append(redacted)
        found = [each.entity for one in looked.detections for each in one.findings]
        if found:
            counts = ",".join(f"{entity}={found.count(entity)}" for entity in sorted({*found}))
            note(self._exchange, REDACTION, looked.version, f"redacted {counts}")
        else:
            note(self._exchange, REDACTION, looked.version, "nothing")
        return replace_request(asked, made)

    async def whole(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer as the caller may have it."""
        if "results" in answer:
            return {**answer, "results": self._own_documents(answer["results"])}
        choices = answer.get("choices")
        if choices is None:
            return answer
        texts = answer_texts(choices)
        self.measured(sum(map(len, texts)))
        if self._sought:
            looked = await self._detector.look(texts, self._sought)
            made, found = self._of_answer(texts, looked)
            # Tokens with their probabilities are the answer again, in pieces that nobody recognises.
            choices = [{**choice, "logprobs": None} if "logprobs" in choice else choice for choice in choices]
            if found:
                choices = [without_fields(choice) for choice in replace_answer(choices, made)]
        await self.judge_answer(texts)
        return {**answer, "choices": walk_choices(choices, self._restored) if self.restores else choices}

    def _own_documents(self, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The order of documents with the caller's own texts: what was sent may hold placeholders in their place."""
        documents = self._asked.get("documents", [])
        own = []
        for result in results:
            copy = dict(result)
            if copy.pop("document", None) is not None and result["index"] < len(documents):
                copy["document"] = {"text": documents[result["index"]]}
            own.append(copy)
        return own

    def pieces(self) -> Pieces:
        """For an answer that comes as a stream."""
        return Pieces(
            self,
            self._reach if self._sought else None,
            self._placeholders if self.restores else None,
            names=self._names,
            in_json=self._json_is_wanted,
        )

    @property
    def _json_is_wanted(self) -> bool:
        wanted = self._asked.get("response_format", {}).get("type", "text")
        outputs = self._asked.get("structured_outputs", {})
        return wanted != "text" or bool(outputs.get("json") or outputs.get("json_object"))

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
                said = [
                    ("user", "\n".join(self._guarded_texts(request_texts(self._asked)))),
                    ("assistant", "\n".join(texts)),
                ]
                await self._judges[guard.name].judge(guard, said, self._exchange)

    def _restored(self, text: str, kind: Kind) -> str:
        """A text of the answer with the caller's own values."""
        if kind != "name" and _JSON_BEGINS.match(text):
            return walk_arguments(text, self._restored_within)
        return self._restored_within(text, kind)

    def _restored_within(self, text: str, kind: Kind) -> str:
        assert self._placeholders is not None, "the answer gets something back"
        if kind == "name" and text in self._names:
            return self._names[text]
        # JSON that was cut short is not read, and still wants JSON's escapes.
        return self._placeholders.restore(text, in_json=_JSON_BEGINS.match(text) is not None)

    @staticmethod
    def _guarded_texts(pieces: list[tuple[str, Kind]]) -> list[str]:
        """What guards of prompts see: every text once, and names also as the words that they are made of."""
        texts: dict[str, None] = {}
        for text, kind in pieces:
            texts[text] = None
            if kind == "name":
                texts[_BETWEEN_WORDS.sub(" ", text)] = None
        return list(texts)


class MayNotLeave(Unsent):
    """The request may not go to a place beyond the site; another of its places may take it."""

    def __init__(self, why: str) -> None:
        super().__init__(422, "may_not_leave", f"This request may not leave the site. {why}")


__all__ = ["REDACTION", "MayNotLeave", "Refusal", "Screen"]
