"""Who gets a canary."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.canary.share import Share, unit_of

KEY = b"k" * 32
PEOPLE = [b"person %d" % number for number in range(20_000)]


@pytest.mark.parametrize("percent", [0.1, 1, 5, 25, 50, 99])
def test_the_share_of_people_is_as_stated(percent: float):
    chosen = sum(Share(percent, KEY, "v2").has(person) for person in PEOPLE)
    expected = len(PEOPLE) * percent / 100
    assert abs(chosen - expected) <= 4 * math.sqrt(expected * (1 - percent / 100)) + 1


@given(st.binary(max_size=40), st.floats(0.1, 98), st.floats(0.1, 98))
def test_who_is_in_a_share_is_in_each_larger_one(person: bytes, one: float, other: float):
    small, large = sorted((one, other))
    assert not Share(small, KEY, "v2").has(person) or Share(large, KEY, "v2").has(person)


def test_another_key_and_another_release_choose_others():
    shares = [Share(50, KEY, "v2"), Share(50, b"o" * 32, "v2"), Share(50, KEY, "v3")]
    chosen = [{person for person in PEOPLE if share.has(person)} for share in shares]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert 0.48 < len(chosen[one] & chosen[other]) / len(chosen[one]) < 0.52


def chat(*texts: str) -> dict[str, Any]:
    roles = ["system", "user", "assistant"]
    return {
        "messages": [
            {"role": roles[min(at, 2)] if at < 3 else ("user", "assistant")[(at - 3) % 2], "content": text}
            for at, text in enumerate(texts)
        ]
    }


def test_each_turn_of_a_conversation_is_one_unit():
    first = unit_of("", chat("Be brief.", "Who are you?"))
    assert unit_of("", chat("Be brief.", "Who are you?", "A model.", "Which?")) == first
    assert unit_of("", chat("Be brief.", "Who am I?")) != first


def test_a_person_is_one_unit_whatever_they_ask():
    assert unit_of("clara", chat("Be brief.", "Who are you?")) == unit_of("clara", {"input": ["text"]})
    assert unit_of("clara", {}) != unit_of("mia", {})


def test_texts_to_embed_are_units_of_their_own():
    assert unit_of("", {"input": ["one"]}) != unit_of("", {"input": ["two"]})
