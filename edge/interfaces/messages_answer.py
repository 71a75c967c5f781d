"""Answers of Anthropic's `POST /v1/messages`: a message, the events of its stream, and its errors.

Both forms come from the same steps: a whole answer is taken as one large delta whose events nobody gets.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from edge import sse
from edge.interfaces.builder import AnswerBuilder
from edge.interfaces.parts import HELD, CallPart
from edge.interfaces.writer import Head
from edge.openai_api import Refusal, dump

_STOP_REASONS = {
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    HELD: "refusal",
}
"""`stop_reason` by the `finish_reason` of chat. Any other is `end_turn`."""
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_DELTAS = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}
_PIECES = {"text": "text", "thinking": "thinking", "tool_use": "partial_json"}


def messages_error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """The body of an error in Anthropic's shape, with the gateway's code for programs."""
    kind = _ERRORS.get(refusal.status) or ("api_error" if refusal.status >= 500 else "invalid_request_error")
    error = {"type": kind, "message": refusal.message, "code": refusal.code}
    return {"type": "error", "error": error, "request_id": request_id}


@dataclass
class _Block:
    """A block of the content that still grows."""

    block: dict[str, Any]
    call: int | None = None
    """Number of the tool call."""
    pieces: list[str] = field(default_factory=list)
    sent: int = 0
    """Number of its pieces that are in events."""

    @property
    def kind(self) -> str:
        return self.block["type"]


class MessagesWriter(AnswerBuilder):
    """Writes one answer as a message, or as the events of its stream. Blocks of a stream come one after the other."""

    def __init__(self, body: dict[str, Any], head: Head) -> None:
        super().__init__(body, head)
        self._blocks: list[_Block] = []
        self._current = 0
        """Number of the block whose events are sent. Later blocks wait for its end."""
        self._began = False

    def error(self, refusal: Refusal) -> bytes:
        return sse.event(messages_error(refusal, self._head.request_id), "error")

    def _begin(self) -> None:
        if self._began:
            return
        self._began = True
        known = self._head.exchange.prompt_tokens if self._head.exchange else None
        usage = _usage({"prompt_tokens": known or 0, "completion_tokens": 0})
        empty = {**self._frame(), "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        self._event("message_start", message=empty)
        self._event("ping")

    def _frame(self) -> dict[str, Any]:
        return {"id": self._head.id, "type": "message", "role": "assistant", "model": self._head.model}

    def _end(self) -> None:
        while self._current < len(self._blocks):
            self._next_block()
        delta = {"stop_reason": self._stop_reason(), "stop_sequence": None}
        self._event("message_delta", delta=delta, usage=_usage(self._usage), **self._extra)
        self._event("message_stop")

    def _answer(self) -> bytes:
        stop = {"stop_reason": self._stop_reason(), "stop_sequence": None}
        content = [_finished(block) for block in self._blocks]
        return dump(
            {**self._frame(), "content": content, **stop, "usage": _usage(self._usage), **self._extra}
        )

    def _stop_reason(self) -> str:
        return _STOP_REASONS.get(self._finish, "end_turn")

    def _add(self, part: tuple[str, str] | CallPart, choice: dict[str, Any]) -> None:
        if isinstance(part, CallPart):
            block = next((block for block in self._blocks if block.call == part.index), None)
            if block is None:
                call_id = part.id or f"toolu_{self._head.request_id}_{part.index}"
                opening = {"type": "tool_use", "id": call_id, "name": part.name, "input": {}}
                block = self._open(_Block(opening, part.index))
            self._add_piece(block, part.arguments)
        elif part[0] == "reasoning":
            self._add_piece(self._spoken("thinking", {"thinking": "", "signature": ""}), part[1])
        else:  # Anthropic's API has no block for refusals
            self._add_piece(self._spoken("text", {"text": ""}), part[1])

    def _spoken(self, kind: str, fields: dict[str, str]) -> _Block:
        if self._blocks and self._blocks[-1].kind == kind:
            return self._blocks[-1]
        return self._open(_Block({"type": kind, **fields}))

    def _open(self, block: _Block) -> _Block:
        self._blocks.append(block)
        if len(self._blocks) - 1 == self._current:
            self._start(block)
        elif self._blocks[self._current].call is None:  # more of a call may come after the next one has begun
            self._next_block()
        return block

    def _start(self, block: _Block) -> None:
        self._event("content_block_start", index=self._current, content_block=block.block)
        self._send(block)

    def _next_block(self) -> None:
        """End the block whose events are sent, and begin the next one."""
        ended = self._blocks[self._current]
        if ended.kind == "thinking":
            signature = {"type": "signature_delta", "signature": ""}
            self._event("content_block_delta", index=self._current, delta=signature)
        self._event("content_block_stop", index=self._current)
        self._current += 1
        if self._current < len(self._blocks):
            self._start(self._blocks[self._current])

    def _add_piece(self, block: _Block, piece: str) -> None:
        if piece:
            block.pieces.append(piece)
        if block is self._blocks[self._current]:
            self._send(block)

    def _send(self, block: _Block) -> None:
        """Send the pieces of the current block that are not sent yet."""
        for piece in block.pieces[block.sent :]:
            delta = {"type": _DELTAS[block.kind], _PIECES[block.kind]: piece}
            self._event("content_block_delta", index=self._current, delta=delta)
        block.sent = len(block.pieces)

    def _event(self, kind: str, **fields: Any) -> None:
        if self._streams:
            self._events.append(sse.event({"type": kind, **fields}, kind))


def _finished(block: _Block) -> dict[str, Any]:
    text = "".join(block.pieces)
    if block.kind != "tool_use":
        return {**block.block, block.kind: text}
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, RecursionError):
        arguments = None
    # A client must get an object. Arguments that are none come as a text.
    return {**block.block, "input": arguments if isinstance(arguments, dict) else {"arguments": text}}


def _usage(usage: dict[str, Any] | None) -> dict[str, int]:
    """The token counts of chat under the names of this interface. Callers are not told what was cached."""
    counts = usage or {}
    return {
        "input_tokens": counts.get("prompt_tokens") or 0,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": counts.get("completion_tokens") or 0,
    }
