"""Answers of OpenAI's `POST /v1/responses`: a response object, and the events of its stream.

Both come from the same steps: a whole answer is taken as one large delta whose events nobody gets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edge import sse
from edge.interfaces.builder import AnswerBuilder
from edge.interfaces.parts import CallPart
from edge.interfaces.writer import Head
from edge.openai_api import Refusal, dump

_UNFINISHED = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reason of an incomplete response by the `finish_reason` of chat. A notice of a review is complete: OpenAI's Agents
SDK raises an error for an incomplete response."""
_EVENTS = {
    "output_text": "response.output_text",
    "refusal": "response.refusal",
    "reasoning_text": "response.reasoning_text",
}


@dataclass
class _Item:
    """An item of the output that still grows."""

    at: int
    item: dict[str, Any]
    kind: str
    """Type of its content part, or `function_call`."""
    pieces: list[str] = field(default_factory=list)
    logprobs: list[Any] = field(default_factory=list)

    @property
    def place(self) -> dict[str, Any]:
        return {"item_id": self.item["id"], "output_index": self.at}


class ResponsesWriter(AnswerBuilder):
    """Writes one answer as a response object, or as the events of its stream."""

    def __init__(self, body: dict[str, Any], head: Head) -> None:
        super().__init__(body, head)
        self._output: list[dict[str, Any]] = []
        self._speaking: _Item | None = None
        """The message or the reasoning that grows. Calls may grow beside each other."""
        self._calls: dict[int, _Item] = {}
        self._sequence = 0

    def error(self, refusal: Refusal) -> bytes:
        # OpenAI documents the flat form, and its service and clients have the nested one too.
        about = {"code": refusal.code, "message": refusal.message, "param": None}
        self._event("error", **about, **refusal.body())
        return self._written()

    def _begin(self) -> None:
        if self._sequence == 0:
            for name in ("created", "in_progress"):
                self._event(f"response.{name}", response=self._response("in_progress"))

    def _end(self) -> None:
        self._close()
        status = self._status()
        self._event(f"response.{status}", response=self._response(status))

    def _answer(self) -> bytes:
        self._close()
        return dump(self._response(self._status()))

    def _notice_field(self) -> str:
        """Where JSON is wanted a notice is a refusal, so that no client reads it as JSON."""
        form = ((self._body.get("text") or {}).get("format") or {}).get("type", "text")
        return "content" if form == "text" else "refusal"

    def _add(self, part: tuple[str, str] | CallPart, choice: dict[str, Any]) -> None:
        if isinstance(part, CallPart):
            self._call(part)
            return
        kind, text = part
        logprobs = (choice.get("logprobs") or {}).get("content") or []
        self._text({"text": "output_text", "reasoning": "reasoning_text"}.get(kind, kind), text, logprobs)

    def _text(self, kind: str, text: str, logprobs: list[Any]) -> None:
        speaking = self._speaking
        if speaking is None or speaking.kind != kind:
            self._end_speaking()
            speaking = self._speaking = self._open_text(kind)
        speaking.pieces.append(text)
        more = {}
        if kind == "output_text":
            speaking.logprobs += logprobs
            more = {"logprobs": logprobs}
        self._event(f"{_EVENTS[kind]}.delta", **speaking.place, content_index=0, delta=text, **more)

    def _open_text(self, kind: str) -> _Item:
        if kind == "reasoning_text":
            item = self._item("rs", type="reasoning", summary=[], content=[], status="in_progress")
        else:
            item = self._item("msg", type="message", role="assistant", content=[], status="in_progress")
        opened = self._open(item, kind)
        self._event("response.content_part.added", **opened.place, content_index=0, part=_part(kind, "", []))
        return opened

    def _call(self, part: CallPart) -> None:
        self._end_speaking()
        opened = self._calls.get(part.index)
        if opened is None:
            call_id = part.id or f"call_{self._head.request_id}_{part.index}"
            item = self._item("fc", type="function_call", call_id=call_id, name=part.name, arguments="")
            opened = self._calls[part.index] = self._open({**item, "status": "in_progress"}, "function_call")
        if part.arguments:
            opened.pieces.append(part.arguments)
            self._event("response.function_call_arguments.delta", **opened.place, delta=part.arguments)

    def _item(self, prefix: str, **fields: Any) -> dict[str, Any]:
        return {"id": f"{prefix}_{self._head.request_id}_{len(self._output)}", **fields}

    def _open(self, item: dict[str, Any], kind: str) -> _Item:
        opened = _Item(len(self._output), item, kind)
        self._output.append(item)
        self._event("response.output_item.added", output_index=opened.at, item=dict(item))
        return opened

    def _end_speaking(self) -> None:
        if (ended := self._speaking) is None:
            return
        self._speaking = None
        text = "".join(ended.pieces)
        part = _part(ended.kind, text, ended.logprobs)
        name = "refusal" if ended.kind == "refusal" else "text"
        more = {"logprobs": ended.logprobs} if ended.kind == "output_text" else {}
        self._event(f"{_EVENTS[ended.kind]}.done", **ended.place, content_index=0, **{name: text}, **more)
        self._event("response.content_part.done", **ended.place, content_index=0, part=part)
        ended.item["content"] = [part]
        self._end_item(ended)

    def _end_item(self, ended: _Item) -> None:
        ended.item["status"] = "incomplete" if self._finish in _UNFINISHED else "completed"
        self._event("response.output_item.done", output_index=ended.at, item=ended.item)

    def _close(self) -> None:
        """End every item that still grows."""
        self._end_speaking()
        for call in self._calls.values():
            call.item["arguments"] = "".join(call.pieces)
            done = {"name": call.item["name"], "arguments": call.item["arguments"]}
            self._event("response.function_call_arguments.done", **call.place, **done)
            self._end_item(call)

    def _status(self) -> str:
        return "incomplete" if self._finish in _UNFINISHED else "completed"

    def _response(self, status: str) -> dict[str, Any]:
        body, reason = self._body, _UNFINISHED.get(self._finish)
        text, reasoning = body.get("text") or {}, body.get("reasoning") or {}
        return {
            "id": self._head.id,
            "object": "response",
            "created_at": self._head.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": reason} if status == "incomplete" else None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "metadata": body.get("metadata") or {},
            "model": self._head.model,
            "output": [] if status == "in_progress" else self._output,
            "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
            "previous_response_id": None,
            "reasoning": {"effort": reasoning.get("effort"), "summary": None},
            "store": False,
            "temperature": body.get("temperature"),
            "text": {"format": text.get("format") or {"type": "text"}},
            "tool_choice": body.get("tool_choice") or "auto",
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p"),
            "truncation": "disabled",
            "usage": _usage(self._usage),
            "user": body.get("user"),
            **self._extra,
        }

    def _event(self, kind: str, **fields: Any) -> None:
        if not self._streams:
            return
        event = {"type": kind, "sequence_number": self._sequence, **fields}
        self._events.append(sse.event(event, kind))
        self._sequence += 1


def _part(kind: str, text: str, logprobs: list[Any]) -> dict[str, Any]:
    if kind == "output_text":
        return {"type": kind, "text": text, "annotations": [], "logprobs": logprobs}
    return {"type": kind, "refusal" if kind == "refusal" else "text": text}


def _usage(usage: dict[str, Any] | None) -> dict[str, Any] | None:
    """The token counts of chat under the names of this interface. Callers are not told what was cached."""
    if not usage:
        return None
    prompt, completion = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": prompt + completion,
    }
