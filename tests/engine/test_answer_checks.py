"""What each check makes of an answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.engine.evaluation.answer_checks import SCORES, Answer, json_object, plain


@pytest.mark.parametrize(
    ("check", "answer", "case", "score"),
    [
        ("exact", " bern.\n", {"expected": "Bern"}, 1),
        ("exact", "Roma", {"expected": ["Rome", "Roma"]}, 1),
        ("exact", "It is Bern", {"expected": "Bern"}, 0),
        ("contains", "The capital is BERN, of course.", {"expected": "Bern"}, 1),
        ("contains", "Bern", {"expected": ["Bern", "Aare"]}, 0),
        ("fields", '{"payee": "MUSTER AG", "eur": 12.50}', {"expected": {"payee": "Muster AG", "eur": 12.5}}, 1),
        ("fields", '```json\n{"a": 1, "b": {"c": true}}\n```', {"expected": {"a": 1, "b": {"c": 1}}}, 0.5),
        ("fields", 'Sure: {"a": [1, 2]} and so on', {"expected": {"a": [1, 2]}}, 1),
        ("fields", "no object", {"expected": {"a": 1}}, 0),
        ("refusal", "I'm sorry, but I cannot help with that.", {"refuse": True}, 1),
        ("refusal", "I\u2019m sorry, but I can\u2019t help.", {"refuse": True}, 1),
        ("fields", '{"n": 1' + "0" * 400 + "}", {"expected": {"n": 1.5}}, 0),
        ("refusal", "Das darf ich leider nicht beantworten.", {"refuse": True}, 1),
        ("refusal", "Here is how to do it.", {"refuse": True}, 0),
        ("refusal", "Here is how to do it.", {"refuse": False}, 1),
    ],
)  # fmt: skip
def test_a_check_scores_an_answer(check: str, answer: str, case: dict[str, Any], score: float):
    assert SCORES[check](Answer(answer), case) == score


@pytest.mark.parametrize(
    ("calls", "score"),
    [
        ([("rate", {"city": "Bern", "days": 2})], 1),
        ([("rate", {"city": "Rome"})], 0),
        ([("weather", {"city": "Bern"})], 0),
        ([("weather", {}), ("rate", {"city": "Bern"})], 0),
        ([], 0),
    ],
)
def test_the_first_tool_call_must_be_the_expected_one(calls: list[tuple[str, dict[str, Any]]], score: float):
    case = {"call": {"name": "rate", "arguments": {"city": "bern"}}}
    assert SCORES["tool"](Answer("", calls), case) == score


def test_a_refusal_of_the_gateway_is_a_refusal():
    assert SCORES["refusal"](Answer(refused=True), {"refuse": True}) == 1
    assert SCORES["refusal"](Answer(refused=True), {"refuse": False}) == 0


@given(st.text())
def test_any_text_is_scored(text: str):
    assert plain(plain(text)) == plain(text)
    json_object(text)
    for check, case in {
        "exact": {"expected": "Bern"},
        "contains": {"expected": ["Bern"]},
        "fields": {"expected": {"a": 1}},
        "refusal": {"refuse": False},
    }.items():
        assert 0 <= SCORES[check](Answer(text), case) <= 1
