"""JSON that two parsers could read differently is refused."""

from __future__ import annotations

import json

import pytest

from edge.strict_json import MAX_DEPTH, NotStrict, parse


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": 1, "\\u0061": 2}',
        '[{"b": {"a": 1, "a": 1}}]',
        "NaN",
        "-Infinity",
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        '{"a":' * 520 + "1" + "}" * 520,
        "[" * 100_000,
        '"\\ud800"',
        '{"\\udc00": 1}',
        "9" * 5000,
        "{",
        "",
        "{} {}",
    ],
)
def test_ambiguous_json_is_refused_without_quoting_its_content(text: str):
    with pytest.raises(NotStrict) as caught:
        parse(text.encode("utf-8", "surrogatepass"))
    assert str(caught.value).split()[0] in ("is", "has", "holds")
    assert not set("{}[]'\"") & set(str(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"a": [1, 2.5, -0.0, 1e3, true, null, "\\u00e9\\ud83d\\ude00"]}}',
        "[" * MAX_DEPTH + "]" * MAX_DEPTH,
        json.dumps([{"a": "{[" * 200}] * 150),
        "1e308",
        '"1e999"',
    ],
)
def test_unambiguous_json_is_parsed_as_python_parses_it(text: str):
    assert parse(text.encode()) == json.loads(text)
