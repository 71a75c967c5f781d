"""Assembles the whole answer from the events of a stream, as the model would have given it without streaming."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_OBJECTS = {"chat.completion.chunk": "chat.completion"}
_JOINED = ("content", "refusal", "reasoning_content", "reasoning")
"""Texts of a message that come in parts."""


class Assembly:
    """The answer of one stream, so far."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._usage: Any = None

    def add(self, chunk: dict[str, Any]) -> None:
        """Take one event of the stream, in its order."""
        self._head = {
            **self._head,
            **{key: value for key, value in chunk.items() if key not in ("choices", "usage")},
        }
        self._usage = chunk.get("usage") or self._usage
        for part in chunk.get("choices") or []:
            index = part.get("index", 0)
            choice = self._choices.setdefault(index, {"index": index, "finish_reason": None})
            for key, value in part.items():
                if key == "delta":
                    _add_delta(choice.setdefault("message", {"role": "assistant", "content": None}), value)
                elif key == "text":
                    choice["text"] = choice.get("text", "") + value
                elif key == "logprobs":
                    _add_logprobs(choice, value)
                elif value is not None or key not in choice:
                    choice[key] = value

    def answer(self) -> dict[str, Any]:
        """The whole answer."""
        name = self._head.get("object")
        answer = {**self._head, "choices": [self._choices[index] for index in sorted(self._choices)]}
        if isinstance(name, str):
            answer["object"] = _OBJECTS.get(name, name)
        if self._usage is not None:
            answer["usage"] = self._usage
        return answer


def _add_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        if key in _JOINED:
            if value is not None:
                message[key] = (message.get(key) or "") + value
        elif key == "tool_calls":
            _add_calls(message.setdefault("tool_calls", []), value or [])
        elif value is not None:
            message[key] = value


def _add_calls(calls: list[dict[str, Any]], parts: Iterable[dict[str, Any]]) -> None:
    for part in parts:
        index = part.get("index", 0)
        while len(calls) <= index:
            calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call = calls[index]
        call |= {key: part[key] for key in ("id", "type") if part.get(key)}
        function = part.get("function") or {}
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""


def _add_logprobs(choice: dict[str, Any], value: Any) -> None:
    if not isinstance(value, dict):
        choice.setdefault("logprobs", None)
        return
    known = choice.get("logprobs") or {}
    for key, entries in value.items():
        joins = isinstance(entries, list) and isinstance(known.get(key), list)
        known[key] = [*known[key], *entries] if joins else entries
    choice["logprobs"] = known
