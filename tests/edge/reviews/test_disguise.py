"""A planted answer in the clothes of a real one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.config.desk import PlantedAnswer
from edge.reviews.disguise import disguise

ENTRY = PlantedAnswer(name="a", request="Who was paid?", answer="Nobody was paid today", wrong="Muster was.")
MESSAGES = [
    {"role": "system", "content": "Tell payments."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Who?"},
]


def real(choice: dict[str, Any] | None = None, **asked: Any) -> dict[str, Any]:
    first = {"index": 0, "message": {"role": "assistant", "content": "Muster"}, "finish_reason": "stop"}
    answer = {
        **{"id": "chatcmpl-00ff", "created": 1, "model": "m-1", "choices": [{**first, **(choice or {})}]},
        "usage": {"prompt_tokens": 40, "completion_tokens": 900, "total_tokens": 940},
    }
    return {
        "asked": {"messages": MESSAGES, "temperature": 0.1, **asked},
        "answer": json.dumps(answer).encode(),
    }


def test_the_application_is_the_real_one_and_the_words_are_the_planted_ones():
    disguised = disguise(ENTRY, real(), ["impact"], None)
    assert disguised is not None
    assert disguised.request == {
        "messages": [MESSAGES[0], {"role": "user", "content": "Who was paid?"}],
        "temperature": 0.1,
    }
    answer = json.loads(disguised.answer)
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": ENTRY.answer}, "finish_reason": "stop"}
    ]
    assert (answer["model"], answer["usage"]["total_tokens"]) == ("m-1", 45)
    assert (answer["id"][:9], len(answer["id"])) == ("chatcmpl-", 13)
    assert answer["created"] > 1


def test_the_real_answer_is_not_changed():
    lender = real()
    disguise(ENTRY, lender, ["impact"], None)
    assert lender == real()


@pytest.mark.parametrize(
    ("stated", "why", "low", "high"),
    [
        (None, ["impact"], 0.49, 0.5),
        (0.9, ["impact"], 0.89, 0.9),
        (0.2, ["impact"], 0.49, 0.5),
        (0.9, ["impact", "low-score"], 0.49, 0.5),
    ],
)
def test_a_score_is_that_of_the_entry_only_where_no_score_is_the_reason(
    stated: float | None, why: list[str], low: float, high: float
):
    entry = ENTRY.model_copy(update={"score": stated})
    disguised = disguise(entry, real({"confidence": {"score": 0.5}}), why, 0.5)
    assert disguised is not None
    assert disguised.score is not None
    assert low <= disguised.score < high
    assert json.loads(disguised.answer)["choices"][0]["confidence"] == {"score": disguised.score}


def test_a_structured_answer_has_a_score_for_each_field_the_lowest_as_a_whole():
    entry = ENTRY.model_copy(update={"answer": '{"payee": "X", "amounts": [1]}'})
    confidence = {"score": 0.5, "fields": {"/payee": 0.9, "/amounts/0": 0.5}, "low": True}
    disguised = disguise(entry, real({"confidence": confidence}), ["low-score"], 0.5)
    assert disguised is not None
    shown = json.loads(disguised.answer)["choices"][0]["confidence"]
    assert set(shown["fields"]) == {"/payee", "/amounts/0"}
    assert min(shown["fields"].values()) == shown["score"] == disguised.score
    other = {"score": 0.5, "fields": {"/payee": 0.5}}
    assert disguise(entry, real({"confidence": other}), ["low-score"], 0.5) is None, "it has other fields"


def test_verdicts_are_the_real_ones_and_as_many_words_are_unsure():
    lender = {**real(), "about": {"verdicts": ["v"], "unsure": [["Muster", [[0, 3, 0.2], [3, 6, 0.4]]]]}}
    disguised = disguise(ENTRY, lender, ["impact"], None)
    assert disguised is not None
    ((text, marks),) = disguised.about["unsure"]
    assert (disguised.about["verdicts"], text, len(marks)) == (["v"], ENTRY.answer, 2)
    assert all(text[begin:end].isalpha() for begin, end, _ in marks)


@pytest.mark.parametrize(
    "lender",
    [
        real({"logprobs": {"content": [{"token": "a"}]}}),
        real({"message": {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}}),
        real(messages=[{"role": "tool", "content": "x"}]),
        real({"confidence": {"score": 0.5}}),
        {**real(), "answer": json.dumps({"choices": []}).encode()},
    ],
)
def test_an_answer_that_would_give_it_away_lends_nothing(lender: dict[str, Any]):
    assert disguise(ENTRY, lender, ["impact"], None) is None
