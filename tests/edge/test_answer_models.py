"""Which fields of upstream answers pass, by the response classes of vLLM 0.33 and for malformed answers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edge.answer_models import (
    CHAT_ANSWER,
    CHAT_CHUNK,
    COMPLETION_ANSWER,
    EMBEDDING_ANSWER,
    RERANK_ANSWER,
)

COUNTS = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def answer(**fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "choices": [choice], **fields}


@pytest.mark.parametrize(
    ("usage", "passes"),
    [
        (COUNTS, COUNTS),
        (
            {**COUNTS, "note": "x", "prompt_tokens_details": {"cached_tokens": 3, "note": "x"}},
            {**COUNTS, "prompt_tokens_details": {"cached_tokens": 3}},
        ),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": 10**20}, None),
        ({"prompt_tokens": 1.5}, None),
        ({"prompt_tokens": True}, None),
        ({"prompt_tokens": "7"}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_holds_counts_or_is_null(usage: Any, passes: Any):
    assert CHAT_ANSWER.validate_python(answer(usage=usage))["usage"] == passes


def test_a_confidence_field_of_the_model_server_is_dropped():
    choice = {"index": 0, "text": "x", "confidence": {"score": 1.0}, "finish_reason": None}
    passing = COMPLETION_ANSWER.validate_python({"choices": [choice], "confidence": 1})
    assert passing == {"choices": [{"index": 0, "text": "x", "finish_reason": None}]}
    delta = {"index": 0, "delta": {"content": "x", "confidence": 1}, "confidence": {"score": 1.0}}
    assert CHAT_CHUNK.validate_python({"choices": [delta]}) == {
        "choices": [{"index": 0, "delta": {"content": "x"}}]
    }


def test_malformed_log_probabilities_become_null():
    token = {"token": "x", "logprob": -0.1, "bytes": [120], "top_logprobs": [], "note": "y"}
    choice = {"index": 0, "message": {"content": "x"}, "logprobs": {"content": [token]}}
    passing = CHAT_ANSWER.validate_python({"choices": [choice]})["choices"][0]
    assert passing["logprobs"] == {"content": [{name: token[name] for name in token if name != "note"}]}
    choice["logprobs"] = {"content": [{"token": 3}]}
    assert CHAT_ANSWER.validate_python({"choices": [choice]})["choices"][0]["logprobs"] is None


@pytest.mark.parametrize(
    "choices",
    [
        None,
        "x",
        {},
        ["x"],
        [{"index": -1, "message": {}}],
        [{"index": 0, "message": {"content": ["x"]}}],
        [{"index": 0, "message": {"content": {"a": 1}}}],
        [{"index": 0, "message": {"tool_calls": [{"function": {"name": "x", "arguments": {}}}]}}],
        [{"index": 0, "message": {"tool_calls": [{"function": {"name": ["x"], "arguments": "{}"}}]}}],
        [{"index": 0, "message": {}, "finish_reason": "DE89 3704"}],
    ],
)
def test_malformed_choices_are_refused(choices: Any):
    with pytest.raises(ValidationError):
        CHAT_ANSWER.validate_python({"choices": choices})


def test_embeddings_and_rerank_scores_must_be_numbers():
    vectors = {
        "data": [{"index": 0, "object": "embedding", "embedding": [1, 0.5]}, {"embedding": "AAAA"}],
        "note": 1,
    }
    assert EMBEDDING_ANSWER.validate_python(vectors)["data"][0]["embedding"] == [1.0, 0.5]
    with pytest.raises(ValidationError):
        EMBEDDING_ANSWER.validate_python({"data": [{"embedding": ["x"]}]})
    with pytest.raises(ValidationError):
        EMBEDDING_ANSWER.validate_python({"data": [{"embedding": "my secret"}]})
    ranked = {
        "results": [{"index": 0, "relevance_score": 0.5, "document": {"text": "a", "multi_modal": None}}]
    }
    assert RERANK_ANSWER.validate_python(ranked)["results"][0]["document"] == {"text": "a"}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_cannot_represent_is_refused(number: float):
    token = {"token": "x", "logprob": number, "bytes": [120]}
    choice = {"index": 0, "message": {"content": "x"}, "logprobs": {"content": [token]}}
    assert CHAT_ANSWER.validate_python({"choices": [choice]})["choices"][0]["logprobs"] is None
    for adapter, alternative in (
        (EMBEDDING_ANSWER, {"data": [{"embedding": [number]}]}),
        (RERANK_ANSWER, {"results": [{"index": 0, "relevance_score": number}]}),
    ):
        with pytest.raises(ValidationError):
            adapter.validate_python(alternative)
