"""Screens one request and its answer: redaction of what leaves the site, and guards of prompts and outputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edge.config import Guard
from edge.exchange import Exchange
from edge.openai_api import Refusal, bad_request
from edge.redaction import Detection, Finding, Placeholders, Reach, hide
from edge.routing.endpoint import Unsent
from edge.screening.client import DetectorAnswer, DetectorClient
from edge.screening.guards import Judge, apply_verdict, judge_entities, record_verdict
from edge.screening.split_values import add_findings, build_seams
from edge.screening.stream import ScreenedStream
from edge.screening.texts import (
    Kind,
    adjacent_texts,
    answer_texts,
    find_unreadable,
    replace_answer,
    replace_request,
    request_texts,
    walk_arguments,
    walk_choices,
    without_fields,
)

REDACTION = "redaction"
_BETWEEN_WORDS = re.compile(r"[-_.:/]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_JSON_BEGINS = re.compile(r"\s*[\[{]\s*[\"\[{\]}]")


class Screen:
    """Screening of one request. Each step may raise Refusal, which ends the request."""

    def __init__(
        self,
        detector: DetectorClient,
        judges: dict[str, Judge],
        guards: list[Guard],
        exchange: Exchange,
        request: dict[str, Any],
        *,
        restore: bool,
        images_pass: bool = False,
    ) -> None:
        self._detector, self._judges, self._exchange = detector, judges, exchange
        self._images_pass = images_pass
        self._asked, self._restore = request, restore
        self._on_prompt = [guard for guard in guards if guard.on != "outputs"]
        self._on_answer = [guard for guard in guards if guard.on != "prompts"]
        self._sought = frozenset(entity for guard in self._on_answer for entity in guard.entities or ())
        self._most = min((guard.max_characters for guard in guards if guard.max_characters), default=None)
        self._reach = Reach(0)
        self._placeholders: Placeholders | None = None
        self._names: dict[str, str] = {}
        """Original names of functions and properties, and ids of calls, by their redacted form."""
        self._redacted: dict[str, Any] | None = None
        self._left = False

    async def prompt(self) -> None:
        """Check the prompt before it is forwarded. Raises Refusal if a guard refuses it or the detector fails."""
        entities = {entity for guard in self._on_prompt for entity in guard.entities or ()}
        if not (entities or self._sought or any(guard.model for guard in self._on_prompt)):
            return
        self._refuse_unreadable()
        pieces = request_texts(self._asked)
        texts = self._guarded_texts(pieces)
        to_detect: list[str] = []
        if entities:
            separate = [text for text, _ in pieces]
            seams = build_seams(separate, adjacent_texts(self._asked))
            to_detect = [*texts, *(seam.text for seam in seams)]
        answer = await self._detector.look(to_detect, entities, self._sought)
        self._reach = answer.reach
        if self._sought and self._asked.get("stream") and self._asked.get("logprobs"):
            raise bad_request(
                "invalid_logprobs",
                "Streams are looked through here, and give no 'logprobs'; ask without one.",
            )
        findings = [finding for detection in answer.detections for finding in detection.findings]
        judge_entities(self._on_prompt, findings, answer.version, self._exchange)
        for guard in self._on_prompt:
            if guard.model is not None:
                await self._judges[guard.name].judge(guard, [("user", "\n".join(texts))], self._exchange)

    def _refuse_unreadable(self) -> None:
        """Raise Refusal 400 if the request holds content that a guard of prompts cannot read."""
        content_kind = find_unreadable(self._asked)
        deciding = [guard for guard in self._on_prompt if guard.then != "record"]
        if content_kind is None or not deciding or (content_kind == "images" and self._images_pass):
            return
        guard = deciding[0]
        record_verdict(self._exchange, guard.name, "edge", f"refused {content_kind}")
        raise Refusal(
            400,
            "content_blocked",
            f"The guard {guard.name!r} reads text only, and this request holds {content_kind}. Send text in their"
            " place.",
        )

    async def leaving(self) -> dict[str, Any]:
        """The redacted request for a place outside the site. Raises Refusal 503, and MayNotLeave if it must stay."""
        if self._redacted is None:
            if find_unreadable(self._asked):
                raise MayNotLeave("What it holds beside text cannot be redacted.")
            # `user` and names of participants identify people, and placeholders cannot replace them.
            request = {key: value for key, value in self._asked.items() if key != "user"}
            if "messages" in request:
                request["messages"] = [
                    {key: value for key, value in message.items() if key != "name"}
                    for message in request["messages"]
                ]
            pieces = request_texts(request)
            texts = [text for text, _ in pieces]
            seams = build_seams(texts, adjacent_texts(request))
            answer = await self._detector.look([*texts, *(seam.text for seam in seams)], None)
            detections, across = answer.detections[: len(texts)], answer.detections[len(texts) :]
            answer = replace(answer, detections=add_findings(detections, seams, across))
            self._redacted = self._out(request, texts, [kind for _, kind in pieces], answer)
        self._left = True
        return self._redacted

    def _out(
        self, request: dict[str, Any], texts: list[str], kinds: Sequence[Kind], answer: DetectorAnswer
    ) -> dict[str, Any]:
        prose = [
            detection for detection, kind in zip(answer.detections, kinds, strict=True) if kind == "text"
        ]
        uncovered = sorted({language for detection in prose for language in detection.patterns_only})
        if uncovered or not answer.names:
            languages = ",".join(uncovered) or "any"
            record_verdict(self._exchange, REDACTION, answer.version, f"patterns only {languages}")
            raise MayNotLeave("Names in its language cannot be redacted here.")
        placeholders = self._placeholders = Placeholders(texts)
        redacted_texts = []
        for text, kind, detection in zip(texts, kinds, answer.detections, strict=True):
            redacted = placeholders.redact(text, detection.findings)
            if redacted != text and kind == "fixed":
                record_verdict(self._exchange, REDACTION, answer.version, "seed")
                raise MayNotLeave("Its 'seed' looks like somebody's number; send another one.")
            if redacted != text and kind == "name":
                # Other fields refer to the name, and accept letters and digits only.
                redacted = redacted.replace("<", "").replace(">", "")
                self._names[redacted] = text
            redacted_texts.append(redacted)
        entities = [finding.entity for detection in answer.detections for finding in detection.findings]
        if entities:
            counts = ",".join(f"{entity}={entities.count(entity)}" for entity in sorted({*entities}))
            record_verdict(self._exchange, REDACTION, answer.version, f"redacted {counts}")
        else:
            record_verdict(self._exchange, REDACTION, answer.version, "nothing")
        return replace_request(request, redacted_texts)

    async def whole(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The screened answer for the caller."""
        if "results" in answer:
            return {**answer, "results": self._own_documents(answer["results"])}
        choices = answer.get("choices")
        if choices is None:
            return answer
        texts = answer_texts(choices)
        self.measured(sum(map(len, texts)))
        if self._sought:
            detected = await self._detector.look(texts, self._sought)
            hidden_texts, has_changed = self._of_answer(texts, detected)
            # Log-probabilities repeat the answer in tokens, which the detector cannot recognise.
            choices = [{**choice, "logprobs": None} if "logprobs" in choice else choice for choice in choices]
            if has_changed:
                choices = [without_fields(choice) for choice in replace_answer(choices, hidden_texts)]
        await self.judge_answer(texts)
        return {**answer, "choices": walk_choices(choices, self._restored) if self.restores else choices}

    def _own_documents(self, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The ranking with the caller's own documents: the ones that were sent may hold placeholders."""
        documents = self._asked.get("documents", [])
        own_results = []
        for result in results:
            copy = dict(result)
            if copy.pop("document", None) is not None and result["index"] < len(documents):
                copy["document"] = {"text": documents[result["index"]]}
            own_results.append(copy)
        return own_results

    def pieces(self) -> ScreenedStream:
        """The screening of an answer that comes as a stream."""
        return ScreenedStream(
            self,
            self._reach if self._sought else None,
            self._placeholders if self.restores else None,
            names=self._names,
            in_json=self._json_is_wanted,
        )

    @property
    def _json_is_wanted(self) -> bool:
        response_format = self._asked.get("response_format", {}).get("type", "text")
        outputs = self._asked.get("structured_outputs", {})
        return response_format != "text" or bool(outputs.get("json") or outputs.get("json_object"))

    @property
    def restores(self) -> bool:
        """Whether placeholders in the answer are replaced by their values."""
        return (
            self._left and self._restore and self._placeholders is not None and bool(len(self._placeholders))
        )

    @property
    def judges_answers(self) -> bool:
        """Whether a guard model judges the answer, which requires the whole answer."""
        return any(guard.model is not None for guard in self._on_answer)

    async def found(self, texts: list[str]) -> list[Detection]:
        """The findings to hide in texts of the answer. Raises Refusal if a guard refuses or the detector fails."""
        answer = await self._detector.look(texts, self._sought)
        self._of_answer(texts, answer)
        return [
            replace(detection, findings=self._hiding(detection.findings)) for detection in answer.detections
        ]

    def _of_answer(self, texts: list[str], answer: DetectorAnswer) -> tuple[list[str], bool]:
        findings = [finding for detection in answer.detections for finding in detection.findings]
        judge_entities(self._on_answer, findings, answer.version, self._exchange)
        hidden_texts = [
            hide(text, self._hiding(detection.findings))
            for text, detection in zip(texts, answer.detections, strict=True)
        ]
        return hidden_texts, hidden_texts != texts

    def _hiding(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        redacts = {
            entity for guard in self._on_answer if guard.then == "redact" for entity in guard.entities or ()
        }
        return tuple(finding for finding in findings if finding.entity in redacts)

    def measured(self, characters: int) -> None:
        """Raise Refusal if the answer is longer than a guard allows."""
        if self._most is None or characters <= self._most:
            return
        guard = next(guard for guard in self._on_answer if guard.max_characters == self._most)
        apply_verdict(guard, str(self._most), self._exchange)

    async def judge_answer(self, texts: list[str]) -> None:
        """Ask the guard models about the whole answer. Raises Refusal."""
        for guard in self._on_answer:
            if guard.model is not None:
                conversation = [
                    ("user", "\n".join(self._guarded_texts(request_texts(self._asked)))),
                    ("assistant", "\n".join(texts)),
                ]
                await self._judges[guard.name].judge(guard, conversation, self._exchange)

    def _restored(self, text: str, kind: Kind) -> str:
        """A text of the answer with the values in place of their placeholders."""
        if kind != "name" and _JSON_BEGINS.match(text):
            return walk_arguments(text, self._restored_within)
        return self._restored_within(text, kind)

    def _restored_within(self, text: str, kind: Kind) -> str:
        assert self._placeholders is not None, "the answer gets something back"
        if kind == "name" and text in self._names:
            return self._names[text]
        # JSON that was cut short cannot be parsed, but its values need JSON escapes all the same.
        return self._placeholders.restore(text, in_json=_JSON_BEGINS.match(text) is not None)

    @staticmethod
    def _guarded_texts(pieces: list[tuple[str, Kind]]) -> list[str]:
        """The texts for guards of prompts: each text once, and names also split into words."""
        texts: dict[str, None] = {}
        for text, kind in pieces:
            texts[text] = None
            if kind == "name":
                texts[_BETWEEN_WORDS.sub(" ", text)] = None
        return list(texts)


class MayNotLeave(Unsent):
    """The request must not leave the site. Another of its places may accept it."""

    def __init__(self, why: str) -> None:
        super().__init__(422, "may_not_leave", f"This request may not leave the site. {why}")


__all__ = ["REDACTION", "MayNotLeave", "Refusal", "Screen"]
