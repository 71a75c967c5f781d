"""Screens a stream. Text is held back until later text cannot change its findings, and tool calls until complete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from edge.answer_models import CONFIDENCE
from edge.openai_api import Refusal
from edge.redaction import Detection, PlaceholderBuffer, Placeholders, Reach, StreamBuffer, TooLong, hide
from edge.redaction.streaming import MAX_HELD
from edge.screening.texts import MESSAGE_TEXTS, Kind, walk_arguments, without_fields

KNOWN = ("role", "index", "finish_reason")
TEXTS = (*MESSAGE_TEXTS, "text")
Chunk = dict[str, Any]


class AnswerScreen(Protocol):
    """What a stream asks of the screening of its request (`edge.screening.screen.Screen`)."""

    @property
    def judges_answers(self) -> bool: ...

    async def found(self, texts: list[str]) -> list[Detection]: ...

    async def judge_answer(self, texts: list[str]) -> None: ...

    def measured(self, characters: int) -> None: ...


class ScreenedStream:
    """The chunks of one answer: takes chunks of the model, gives screened chunks."""

    def __init__(
        self,
        screen: AnswerScreen,
        reach: Reach | None,
        placeholders: Placeholders | None,
        *,
        names: Mapping[str, str] | None = None,
        in_json: bool = False,
    ) -> None:
        """`names`: original names by redacted name. `in_json`: the content is JSON, so restored values are escaped."""
        self._screen, self._reach, self._placeholders = screen, reach, placeholders
        self._names, self._in_json = names or {}, in_json
        self._finished: set[int] = set()
        """Choices whose `finish_reason` has come. Their held text has been released."""
        self._named: set[tuple[int, int]] = set()
        """Tool calls whose name has been sent."""
        self._held: dict[tuple[int, str], StreamBuffer] = {}
        self._holding: dict[tuple[int, str], PlaceholderBuffer] = {}
        self._calls: dict[int, dict[int, str]] = {}
        """Arguments received so far, by choice and call."""
        self._waiting: list[Chunk] = []
        """Chunks that wait until a guard model has judged the whole answer."""
        self._said: dict[tuple[int, str], str] = {}
        self._length = 0
        self._looks = reach is not None
        self._last: Chunk = {}

    async def add(self, chunk: Chunk) -> list[Chunk]:
        """The chunks that may be sent after this chunk of the model. Raises Refusal."""
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise Refusal(502, "stream_failed", "The model server's stream cannot be read.")
        if not choices:
            return self._later([chunk])
        self._last = {key: value for key, value in chunk.items() if key != "usage"}
        screened = []
        for choice in choices:
            if (screened_choice := await self._choice(choice)) is not None:
                screened.append(screened_choice)
        return self._later([{**chunk, "choices": screened}] if screened or chunk.get("usage") else [])

    async def end(self) -> list[Chunk]:
        """The chunks that were still held when the model ends. Raises Refusal."""
        choices = []
        for index in sorted(
            {index for index, _ in self._held} | {*self._calls} | {i for i, _ in self._holding}
        ):
            delta = await self._rest(index)
            if delta:
                choices.append({"index": index, "delta": delta, "finish_reason": None})
        chunks = self._later([{**self._last, "choices": choices}] if choices else [])
        if not self._screen.judges_answers:
            return chunks
        await self._screen.judge_answer(list(self._said.values()))
        return self._waiting

    def _later(self, chunks: list[Chunk]) -> list[Chunk]:
        if not self._screen.judges_answers:
            return chunks
        self._waiting += chunks
        return []

    async def _choice(self, choice: Chunk) -> Chunk | None:
        index = choice.get("index", 0)
        if index in self._finished:  # its end was screened already, and more text could complete a secret
            return None
        # Chat text is in `delta`, completion text in the choice itself.
        is_chat = isinstance(choice.get("delta"), dict)
        spoken = choice["delta"] if is_chat else choice
        # Unknown fields are not screened, so they are dropped.
        delta = {name: value for name, value in spoken.items() if name in KNOWN or not self._looks}
        texts = {name: value for name, value in spoken.items() if name in TEXTS and isinstance(value, str)}
        for name, value in texts.items():
            delta[name] = await self._text(index, name, value)
        calls = spoken.get("tool_calls")
        if isinstance(calls, list) and (call_heads := await self._call(index, calls)):
            delta["tool_calls"] = call_heads
        if choice.get("finish_reason") is not None:
            self._finished.add(index)
            for name, value in (await self._rest(index)).items():
                delta[name] = delta.get(name, [] if name == "tool_calls" else "") + value
        screened_choice = {**(_bare(choice) if self._looks else choice), "delta": delta} if is_chat else delta
        is_empty = not any(value for name, value in delta.items() if name not in ("index", "finish_reason"))
        is_held_back = is_empty and (texts or calls is not None) and choice.get("finish_reason") is None
        return None if is_held_back else screened_choice

    async def _text(self, index: int, name: str, piece: str) -> str:
        self._measure(piece)
        key = (index, name)
        if self._reach is not None:
            buffer = self._held.setdefault(key, StreamBuffer(self._reach))
            try:
                buffer.add(piece)
            except TooLong:
                raise too_long() from None
            piece = ""
            if buffer.ready():
                (detection,) = await self._screen.found([buffer.window])
                piece = buffer.release(detection.findings, undecided=detection.undecided)
        return self._back(key, piece)

    def _back(self, key: tuple[int, str], piece: str, *, last: bool = False) -> str:
        self._said[key] = self._said.get(key, "") + (piece if self._screen.judges_answers else "")
        if self._placeholders is None:
            return piece
        ready = self._holding.setdefault(key, PlaceholderBuffer()).add(piece, last=last)
        return self._placeholders.restore(ready, in_json=self._in_json and key[1] in ("content", "text"))

    async def _call(self, index: int, calls: list[Any]) -> list[Any]:
        """The call heads to send now. Arguments wait, because JSON can be parsed only when it is complete."""
        calls_out = []
        waits = self._reach is not None or self._placeholders is not None or self._screen.judges_answers
        for call in calls:
            function = call.get("function") or {}
            text = function.get("arguments")
            at = call.get("index", 0)
            if text is not None:
                self._measure(text)
            if not waits:
                calls_out.append(call)
                continue
            if text is not None:
                arguments = self._calls.setdefault(index, {})
                arguments[at] = arguments.get(at, "") + text
                if len(arguments[at]) > MAX_HELD:
                    raise too_long()
            # A name is sent once and whole, because pieces of it could not be screened.
            if not (call.get("id") or function.get("name")) or (index, at) in self._named:
                continue
            self._named.add((index, at))
            calls_out.append(await self._name(call, function))
        return calls_out

    async def _name(self, call: Chunk, function: Chunk) -> Chunk:
        """The head of a call: its id and its name, screened and restored, with empty arguments."""
        id_, name = await self._screened([call.get("id") or "", function.get("name") or ""])
        head = {field: call[field] for field in ("index", "type") if field in call}
        head["function"] = {"name": self._names.get(name, name), "arguments": ""}
        return {**head, "id": id_} if id_ else head

    async def _screened(self, texts: list[str]) -> list[str]:
        if self._reach is None:
            return texts
        detections = await self._screen.found(texts)
        return [hide(text, detection.findings) for text, detection in zip(texts, detections, strict=True)]

    async def _rest(self, index: int) -> Chunk:
        """The held text and calls of a choice, as its last delta."""
        delta: Chunk = {}
        for key, buffer in self._held.items():
            if key[0] == index and buffer.waiting:
                (detection,) = await self._screen.found([buffer.window])
                delta[key[1]] = self._back(key, buffer.release(detection.findings, last=True))
        for key in [key for key in self._holding if key[0] == index]:
            if text := self._back(key, "", last=True):
                delta[key[1]] = delta.get(key[1], "") + text
        if calls := self._calls.pop(index, None):
            delta["tool_calls"] = [
                {"index": at, "function": {"arguments": await self._arguments(index, at, text)}}
                for at, text in calls.items()
            ]
        return {name: value for name, value in delta.items() if value}

    async def _arguments(self, index: int, at: int, text: str) -> str:
        if self._reach is not None:
            texts: list[str] = []

            def take(text: str, kind: Kind) -> str:
                texts.append(text)
                return text

            walk_arguments(text, take)
            following = iter(await self._screened(texts))
            text = walk_arguments(text, lambda _text, _kind: next(following))
        self._said[index, f"call {at}"] = text
        return walk_arguments(text, self._restored) if self._placeholders is not None else text

    def _restored(self, text: str, kind: Kind) -> str:
        if kind == "name" and text in self._names:
            return self._names[text]
        return self._placeholders.restore(text) if self._placeholders is not None else text

    def _measure(self, piece: str) -> None:
        self._length += len(piece)
        self._screen.measured(self._length)


def _bare(choice: Chunk) -> Chunk:
    # Names of fields are text of the model, and what has been sent of it cannot be taken back.
    return without_fields({name: value for name, value in choice.items() if name in (*KNOWN, CONFIDENCE)})


def too_long() -> Refusal:
    """The error for a stream in which more text would have to be held back than is allowed."""
    return Refusal(
        502,
        "stream_failed",
        "The answer holds a text that is too long to be screened in a stream. Set 'stream' to false.",
    )
