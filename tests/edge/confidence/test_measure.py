"""Confidence of an answer's tokens: by field without the structure, by text regardless of its length."""

from __future__ import annotations

import math
from typing import Any

import pytest

from edge.confidence.measure import ChoiceContent, Unmeasured, measure_answer
from edge.confidence.tokens import NoTokens, Tokens
from tests.edge.confidence.making import HALF, logprobs_of, tokens


def measure(
    texts: list[str], logprobs: list[float], structured: bool = True, **more: Any
) -> dict[str, float]:
    answer = {"text": "".join(texts), "finish": "stop", **more}
    return measure_answer(ChoiceContent(**answer), tokens(texts, logprobs), structured=structured)


def test_a_field_is_measured_by_its_own_tokens_without_the_structure():
    texts = ['{"', "city", '":', ' "', "Be", "rn", '", "', "age", '": ', "42", "}"]
    logprobs = [-9.0, -9, -9, -9, HALF, HALF, -9, -9, -9, -0.25, -9]
    measures = measure(texts, logprobs)
    assert measures == {"/city": pytest.approx(2 * HALF), "/age": -0.25}


def test_a_token_with_value_and_structure_belongs_to_the_value():
    assert measure(['{"a": "', 'x"', ", ", '"b": 1', "2}"], [-9, -1, -9, -2, -3]) == {"/a": -1, "/b": -5}


def test_one_doubtful_digit_among_sure_ones_makes_a_field_doubtful():
    digits = [str(digit) for digit in range(10)]
    measures = measure(['"', *digits, '"'], [0.0, *[0.0] * 9, HALF, 0.0])
    assert math.exp(measures[""]) == pytest.approx(0.5)


def test_an_empty_value_is_measured_by_its_delimiters():
    assert measure(['{"a": ', '""', ', "b": ', "[]", "}"], [-9, -1, -9, -2, -9]) == {"/a": -1, "/b": -2}


def test_a_long_text_is_not_worse_than_a_short_one_of_the_same_words():
    for length in (3, 300):
        assert measure([" word"] * length, [-0.2] * length, structured=False) == {"": pytest.approx(-0.2)}


def test_characters_split_between_tokens_are_matched_by_their_bytes():
    first, second = "ü".encode()[:1], "ü".encode()[1:]
    collected = Tokens()
    collected.take(
        {
            "content": [
                {"token": '{"stadt": "Z', "logprob": -9, "bytes": list(b'{"stadt": "Z')},
                {"token": "\ufffd", "logprob": -1, "bytes": list(first)},
                {"token": "\ufffd", "logprob": -2, "bytes": list(second)},
                {"token": 'rich", "ok": true}', "logprob": -4, "bytes": None},
            ]
        }
    )
    answer = ChoiceContent('{"stadt": "Zürich", "ok": true}', finish="stop")
    assert measure_answer(answer, collected, structured=True) == {"/stadt": -16, "/ok": -4}


def test_arguments_of_tool_calls_are_found_after_reasoning_text():
    texts = [
        "I rate ",
        '{"city": "Bern"}',
        "\n<tool>",
        '{"city": "',
        "Bern",
        '"}',
        "<tool>",
        '{"city": "',
        "Chur",
        '"}',
    ]
    logprobs = [-9, -9, -9, -9, -1.0, -9, -9, -9, -2.0, -9]
    answer = ChoiceContent("", ['{"city": "Bern"}', '{"city": "Chur"}'], "tool_calls")
    assert measure_answer(answer, tokens(texts, logprobs), structured=False) == {
        "/tool_calls/0/city": -1,
        "/tool_calls/1/city": -2,
    }


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"finish": "length"}, "cut"),
        ({"finish": "content_filter"}, "cut"),
        ({"finish": None}, "cut"),
        ({"text": "another text"}, "not of these tokens"),
        ({"text": ""}, "not of these tokens"),
        ({"arguments": ['{"a": 1}']}, "not of these tokens"),
        ({"text": "Paid"}, "no JSON"),
        ({"text": "\ud800"}, "unreadable"),
    ],
)
def test_an_incomplete_answer_or_one_with_other_tokens_is_not_measured(more: dict[str, Any], why: str):
    with pytest.raises(Unmeasured, match=why):
        measure(["Paid", " to"], [-1, -1], **more)


@pytest.mark.parametrize("logprob", [math.nan, -math.inf, 0.5, None, "0", True])
def test_an_invalid_log_probability_is_refused(logprob: Any):
    with pytest.raises(NoTokens):
        Tokens().take({"content": [{"token": "a", "logprob": logprob}]})


@pytest.mark.parametrize(
    "value", [None, {}, {"content": None}, [], {"content": [None]}, logprobs_of([], []) | {"content": [{}]}]
)
def test_a_value_that_is_not_a_list_of_tokens_is_refused(value: Any):
    with pytest.raises(NoTokens):
        Tokens().take(value)
