"""A request that a model server rejects: none of its text passes, and the caller learns what to change."""

from __future__ import annotations

import json

import pytest

from edge.routing.rejection import translate_rejection

# Messages of vLLM 0.33 and of the translator.
TOO_LONG = (
    "This model's maximum context length is 8192 tokens. However, you requested 100 output tokens and your prompt"
    " contains at least 8093 input tokens, for a total of at least 8193 tokens. Please reduce the length of the input"
    " prompt or the number of requested output tokens."
)
NO_PARSER = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'


@pytest.mark.parametrize(
    ("message", "param", "code", "message_told"),
    [
        (TOO_LONG, "input_tokens", "context_length_exceeded", "8192 tokens"),
        ("The request is longer than the model's context.", None, "context_length_exceeded", "longer than"),
        (NO_PARSER, None, "unsupported_parameter", "--tool-call-parser"),
        ("temperature must be non-negative, got -1", "temperature", "rejected_by_model", "'temperature'"),
        ("This model does not take the field 'seed'.", None, "rejected_by_model", "'seed'"),
        ("Conversation roles must alternate: chat template", None, "rejected_by_model", "chat template"),
        ("DE89 3704 0044 0532 0130 00 at 10.1.2.3", "ghp_secret", "rejected_by_model", "does not accept"),
    ],
)
def test_a_known_error_of_a_model_server_is_reported_in_our_words(
    message: str, param: str | None, code: str, message_told: str
):
    refusal = translate_rejection(json.dumps({"error": {"message": message, "param": param}}).encode())
    assert (refusal.status, refusal.code) == (400, code)
    assert message_told in refusal.message
    for upstream in ("3704", "10.1.2.3", "ghp_", "8093", "alternate"):
        assert upstream not in refusal.message


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"[" * 5000, b'{"error": "x"}', b'{"error": {"message": 3}}']
)
def test_an_unreadable_rejection_is_still_reported_as_rejected(body: bytes):
    assert translate_rejection(body).code == "rejected_by_model"
