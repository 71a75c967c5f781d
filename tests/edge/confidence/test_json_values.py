"""Positions of the values in a JSON text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.confidence.json_values import NotJson, leaf_spans

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda children: st.lists(children) | st.dictionaries(st.text(), children), max_leaves=12
)


def flat(value: Any, pointer: str = "") -> dict[str, Any]:
    """The leaves of a value by their pointers, computed in another way."""
    if isinstance(value, dict) and value:
        named_values = {key.replace("~", "~0").replace("/", "~1"): nested for key, nested in value.items()}
    elif isinstance(value, list) and value:
        named_values = {str(number): nested for number, nested in enumerate(value)}
    else:
        return {pointer: value}
    leaves: dict[str, Any] = {}
    for name, nested in named_values.items():
        leaves |= flat(nested, f"{pointer}/{name}")
    return leaves


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_every_value_is_at_its_reported_position(value: Any, indent: int | None, ascii: bool):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    spans = leaf_spans(text)
    expected = flat(value)
    assert set(spans) == set(expected)
    for pointer, (start, end) in spans.items():
        part = text[start:end]
        if isinstance(expected[pointer], str) and expected[pointer]:
            assert text[start - 1] == text[end] == '"', "the quotes are no part of the value"
            part = f'"{part}"'
        assert json.loads(part) == expected[pointer]


@given(st.text(alphabet='{}[]":,\\ 0123456789.eE+-truefalsn\n', max_size=20))
def test_exactly_the_texts_that_are_valid_json_have_value_positions(text: str):
    def twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError
        return dict(pairs)

    def no(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text, object_pairs_hook=twice, parse_constant=no)
    except ValueError:
        with pytest.raises(NotJson):
            leaf_spans(text)
    else:
        leaf_spans(text)


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '{"a": 1} x', '{"a": NaN}', "", '{"a"', "[1,]", "[" * 100 + "]" * 100]
)
def test_an_ambiguous_json_text_has_no_value_positions(text: str):
    with pytest.raises(NotJson):
        leaf_spans(text)
