"""Token counts: vLLM's `/tokenize` and Anthropic's `count_tokens`, by the model's own tokenizer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.edge.conftest import code_of
from tests.edge.fake_model import TOKENS
from tests.edge.interfaces.conftest import Offered
from tests.edge.interfaces.test_messages import HELLO, TOOL, error_of

COUNT = "/v1/messages/count_tokens"
CHAT = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    "fields", [{"prompt": "hello"}, {"messages": CHAT, "add_generation_prompt": False, "tools": []}]
)
def test_tokenize_has_the_shape_of_vllm(offered: Offered, fields: dict[str, Any]) -> None:
    answer = offered.post("/tokenize", **fields)
    assert answer.json() == TOKENS
    sent = offered.sent()
    assert sent == {**fields, "model": "llama"}
    assert offered.model.received[-1].startswith(b"POST /tokenize ")


def test_count_tokens_counts_what_a_message_would_send(offered: Offered) -> None:
    answer = offered.post(COUNT, messages=HELLO["messages"], system="Be kind.", tools=[TOOL])
    assert answer.json() == {"input_tokens": TOKENS["count"]}
    sent = offered.sent()
    assert sent["messages"] == [{"role": "system", "content": "Be kind."}, *HELLO["messages"]]
    assert sent["tools"][0]["function"]["name"] == "rate"


def test_counting_is_recorded_and_costs_nothing(offered: Offered) -> None:
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/tokenize", {"prompt": "hello"}),
        (COUNT, {"messages": CHAT}),
    ]
    for path, fields in asked:
        line = offered.line(offered.post(path, **fields))
        assert (line["path"], line["status"], line["model"]) == (path, 200, "fast")
        counts = {key: line[key] for key in ("prompt_tokens", "completion_tokens", "gpu_seconds", "usd")}
        assert counts == {"prompt_tokens": 0, "completion_tokens": 0, "gpu_seconds": 0.0, "usd": 0.0}


def test_a_model_behind_the_translator_has_no_tokenizer(offered: Offered) -> None:
    answer = offered.post(COUNT, model="cloud", messages=CHAT)
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (400, "no_tokenizer")
    assert "translator" in error["message"]
    assert offered.model.received == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "invalid_prompt"),
        ({"prompt": "a", "messages": CHAT}, "invalid_prompt"),
        ({"prompt": [1, 2]}, "invalid_prompt"),
        ({"messages": [{"role": "root", "content": "x"}]}, "invalid_messages"),
        ({"messages": CHAT, "chat_template": "x"}, "unknown_field"),
    ],
)
def test_other_requests_are_refused(offered: Offered, fields: dict[str, Any], code: str) -> None:
    answer = offered.post("/tokenize", **fields)
    assert (answer.status_code, code_of(answer)) == (400, code)
    assert offered.model.received == []
