"""Malformed answers of model servers that must not be blamed on the client."""

from __future__ import annotations

from typing import Any

import pytest

from tests.edge.conftest import Site, code_of


def test_an_answer_that_utf_8_cannot_encode_is_a_model_server_error(
    chain: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer_to(path: str, request: dict[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": "half a pair: \ud800"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "choices": [choice]}

    monkeypatch.setattr(chain.model, "answer_to", answer_to)
    answer = chain.ask()
    assert (answer.status_code, code_of(answer)) == (502, "bad_gateway")
