"""HMACs of questions and answers: the same whole or in parts, and different for each request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.audit.content import Hmacs
from edge.text_hmacs import TextHmac, question_of, text_digest

KEY = bytes(range(32))
HMACS = Hmacs(KEY)


@given(st.lists(st.text(st.characters() | st.sampled_from(" \n\t"), max_size=6), max_size=8))
def test_a_text_in_parts_has_the_hmac_of_the_whole_without_white_space_at_its_ends(parts: list[str]):
    streamed = TextHmac(KEY)
    for part in parts:
        streamed.add(part)
    assert streamed.digest() == text_digest(KEY, "".join(parts)) == text_digest(KEY, "".join(parts).strip())


def test_the_same_answer_to_two_requests_has_two_hmacs():
    first, second = (HMACS.answers(request_id, ["yes"]) for request_id in ("0" * 32, "1" * 32))
    assert first != second
    assert HMACS.answers("0" * 32, ["yes"]) == first
    assert HMACS.answers("0" * 32, ["no"]) != first
    assert [HMACS.question("0" * 32, {"prompt": "yes"})] != first, "a question is no answer"
    assert Hmacs(bytes(32)).answers("0" * 32, ["yes"]) != first, "another key"


def test_an_answer_with_several_choices_has_an_hmac_for_each_text():
    answer = HMACS.answer("0" * 32)
    for chunk in (
        {"choices": [{"index": 1, "delta": {"role": "assistant", "content": "no"}}]},
        {"choices": [{"index": 0, "delta": {"content": "ye"}}, {"index": 1, "delta": {"content": "pe"}}]},
        {"choices": [{"index": 0, "delta": {"content": "s"}}, {"index": 2, "delta": {"tool_calls": []}}]},
        {"choices": [], "usage": {}},
    ):
        answer.add(chunk)
    assert answer.values() == HMACS.answers("0" * 32, ["yes", "nope", None])


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}}]},
        {"choices": [{"index": 0, "text": "yes"}]},
    ],
)
def test_a_whole_answer_of_chat_or_completions_has_the_hmac_of_its_text(answer: dict[str, Any]):
    whole = HMACS.answer("0" * 32)
    whole.add(answer)
    assert whole.values() == HMACS.answers("0" * 32, ["yes"])


@pytest.mark.parametrize(
    ("request_fields", "question"),
    [
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "a"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "c"}]}, "c"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, "a"),
        ({"messages": [{"role": "system", "content": "a"}]}, None),
        ({"prompt": "a"}, "a"),
        ({"prompt": [1, 2]}, None),
    ],
)
def test_the_question_of_a_request_is_its_last_text_of_a_person(
    request_fields: dict[str, Any], question: str | None
):
    assert question_of(request_fields) == question
