"""Chunks of a stream, screened without a server: every choice separately, and unknown fields are dropped."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from edge.openai_api import Refusal
from edge.redaction import Detector, Placeholders, Rules
from edge.screening.stream import ScreenedStream

SECRET = "ghp_" + "a1B2" * 9
DETECTOR = Detector(Rules())
SOUGHT = frozenset(["SECRET"])


class Stub:
    """A screen with the detection engine itself."""

    judges_answers = False

    async def found(self, texts: list[str]) -> list[Any]:
        return [DETECTOR.detect(text, entities=SOUGHT) for text in texts]

    def measured(self, characters: int) -> None:
        pass


def through(
    chunks: list[dict[str, Any]], placeholders: Placeholders | None = None, *, looks: bool = True
) -> list[Any]:
    async def run() -> list[Any]:
        pieces = ScreenedStream(Stub(), DETECTOR.reach(SOUGHT) if looks else None, placeholders)  # type: ignore[arg-type]
        out = [screened for chunk in chunks for screened in await pieces.add(chunk)]
        return out + await pieces.end()

    return asyncio.run(run())


def chunk(*choices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "choices": list(choices), **fields}


def delta(index: int = 0, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": fields, "finish_reason": finish}


def test_every_choice_of_a_stream_is_screened_separately():
    half = len(SECRET) // 2
    chunks = [
        chunk(delta(0, content=f"a {SECRET[:half]}"), delta(1, content="b ")),
        chunk(delta(1, content=f"{SECRET[:half]}")),
        chunk(delta(0, content=f"{SECRET[half:]} c", finish="stop")),
        chunk(delta(1, content=f"{SECRET[half:]} d", finish="stop")),
    ]
    text_of = {0: "", 1: ""}
    for screened in through(chunks):
        for choice in screened["choices"]:
            text_of[choice["index"]] += choice["delta"].get("content", "")
    assert text_of == {0: "a <SECRET> c", 1: "b <SECRET> d"}


@pytest.mark.parametrize(
    "fields",
    [
        {"audio": {"transcript": SECRET}},
        {"content": [{"type": "text", "text": SECRET}]},
        {"function_call": {"name": "f", "arguments": SECRET}},
        {"tool_calls": [{"index": 0, "id": "1", "custom": {"input": SECRET}}]},
        {
            "tool_calls": [
                {"index": 0, "id": "1", "function": {"name": "f", "arguments": SECRET, "x": SECRET}}
            ]
        },
        {"reasoning_content": SECRET},
        {"refusal": SECRET},
    ],
)
def test_unknown_fields_are_dropped_and_known_ones_screened(fields: dict[str, Any]):
    chunks = [
        chunk({**delta(role="assistant", **fields), "token_text": SECRET, "logprobs": {"content": [SECRET]}})
    ]
    assert SECRET not in json.dumps(through([*chunks, chunk(delta(finish="stop"))]))


def test_the_text_of_a_completion_chunk_is_screened():
    first, end = SECRET[:9], SECRET[9:]
    chunks = [chunk({"index": 0, "text": text, "finish_reason": None}) for text in ("so ", first, end, " it")]
    out = through([*chunks, chunk({"index": 0, "text": "", "finish_reason": "stop"})])
    assert "".join(choice["text"] for chunk in out for choice in chunk["choices"]) == "so <SECRET> it"


def test_held_text_is_released_even_without_a_finish_reason():
    out = through([chunk(delta(content="all of it"))])
    assert "".join(choice["delta"]["content"] for chunk in out for choice in chunk["choices"]) == "all of it"


def test_several_streamed_tool_calls_are_released_whole():
    def call(index: int, **fields: Any) -> dict[str, Any]:
        return delta(tool_calls=[{"index": index, **fields}])

    chunks = [
        chunk(call(0, id="a", type="function", function={"name": "f", "arguments": ""})),
        chunk(call(0, function={"arguments": '{"k": "' + SECRET[:10]})),
        chunk(call(0, function={"arguments": SECRET[10:] + '"}'})),
        chunk(call(1, id="b", type="function", function={"name": "g", "arguments": '{"n": 1}'})),
        chunk(delta(finish="tool_calls")),
    ]
    written: dict[int, str] = {}
    for screened in through(chunks):
        for choice in screened["choices"]:
            for tool_call in choice["delta"].get("tool_calls", ()):
                written[tool_call["index"]] = written.get(tool_call["index"], "") + tool_call["function"].get(
                    "arguments", ""
                )
    assert {index: json.loads(text) for index, text in written.items()} == {0: {"k": "<SECRET>"}, 1: {"n": 1}}


def test_usage_passes_and_a_malformed_stream_is_refused():
    usage = chunk(usage={"total_tokens": 3})
    assert through([usage]) == [usage]
    with pytest.raises(Refusal):
        through([{"choices": "no"}])


def test_without_screening_chunks_pass_unchanged():
    odd = chunk({**delta(content="x", audio={"y": 1}), "logprobs": {"content": []}})
    assert through([odd], looks=False) == [odd]


def contents(chunks: list[Any]) -> str:
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return "".join(
        (choice.get("delta") or choice).get(name, "") for choice in choices for name in ("content", "text")
    )


@pytest.mark.parametrize("cut", range(4, len(SECRET) - 6))
def test_text_after_a_finish_reason_is_dropped(cut: int):
    """The text before was screened as complete, so a secret could be split at that point."""
    chunks = [
        chunk(delta(content=f"a {SECRET[:cut]}", finish="stop")),
        chunk(delta(content=f"{SECRET[cut:]} b")),
        chunk(delta(reasoning=SECRET)),
        chunk(delta(content="c", finish="stop")),
    ]
    out = through(chunks)
    assert contents(out) in (f"a {SECRET[:cut]}", "a <SECRET>")
    assert SECRET not in json.dumps(out)
    finishes = [choice["finish_reason"] for chunk in out for choice in chunk["choices"]]
    assert finishes == ["stop"]


def test_a_finished_choice_ends_neither_other_choices_nor_the_usage():
    usage = {"total_tokens": 3}
    chunks = [
        chunk(delta(0, content="a", finish="stop"), delta(0, content="b"), delta(1, content="c")),
        chunk({"index": 0, "text": "d", "finish_reason": None}, delta(1, content=" e", finish="stop")),
        chunk(delta(0, content="f"), usage=usage),
        chunk(usage=usage),
    ]
    for looks in (True, False):
        out = through(chunks, looks=looks)
        assert contents(out) == "ac e"
        assert [chunk["usage"] for chunk in out if "usage" in chunk] == [usage, usage]


def test_a_tool_call_after_a_finish_reason_is_dropped():
    late = {"index": 0, "id": "x", "function": {"name": SECRET, "arguments": json.dumps({"a": SECRET})}}
    out = through([chunk(delta(content="a", finish="stop")), chunk(delta(tool_calls=[late]))])
    assert "tool_calls" not in json.dumps(out)
