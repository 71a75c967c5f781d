"""Parts of the desk without a service: fields of JSON answers, differences, filters, languages, settings, marks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from starlette.requests import Request

from edge.confidence.tokens import Tokens
from edge.config import ConfigError, ReviewsConfig, check
from edge.desk.differences import differences
from edge.desk.fields import fields_of, with_values
from edge.desk.filters import parse_filter, query_of
from edge.desk.pages import language_of
from edge.desk.pieces import text_pieces
from edge.desk.sources import mark_citations, missing_sources, sources_of
from edge.openai_api import Refusal
from tests.edge.processes import ROOT
from tests.edge.reviews.test_settings import documented
from tests.edge.test_config import FILE

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), VALUES, min_size=1, max_size=5), st.integers(0, 3) | st.none())
def test_a_form_as_it_was_made_changes_nothing_of_an_answer(value: dict[str, Any], indent: int | None):
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    fields = fields_of(text, 0)
    if fields is None:  # no value, or too deep
        return
    assert with_values(text, 0, {field.name: field.value for field in fields}) == text


@given(st.dictionaries(st.text(max_size=8), VALUES, min_size=1, max_size=5), st.text())
def test_each_typed_text_is_the_value_of_its_field_and_of_no_other(value: dict[str, Any], typed: str):
    text = json.dumps(value, ensure_ascii=False)
    fields = fields_of(text, 0) or []
    for field in (field for field in fields if field.kind == "text"):
        before = {other.pointer: other.value for other in fields if other.pointer != field.pointer}
        changed = with_values(text, 0, {field.name: typed})
        after = {other.pointer: other for other in fields_of(changed, 0) or []}
        assert after.pop(field.pointer).value == typed
        assert {pointer: other.value for pointer, other in after.items()} == before


@pytest.mark.parametrize("text", ["", "[1]", '"x"', "{", "{}", '{"a": 1, "a": 2}', "plain words", None, 5])
def test_what_is_no_object_is_corrected_as_text(text: Any):
    assert fields_of(text, 0) is None


@pytest.mark.parametrize(("name", "typed"), [("n", "1e"), ("n", "01"), ("n", "NaN"), ("n", ""), ("b", "yes")])
def test_a_value_of_another_kind_is_refused(name: str, typed: str):
    with pytest.raises(Refusal):
        with_values('{"n": 1, "b": true}', 0, {f"field-0-/{name}": typed})


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_differences_make_both_texts(before: str, after: str):
    parts = differences(before, after)
    assert parts is not None
    assert "".join(part.text for part in parts if part.kind != "added") == before
    assert "".join(part.text for part in parts if part.kind != "removed") == after


def test_long_texts_are_compared_by_lines_and_longer_ones_not_at_all():
    long = "word and word\n" * 1000
    parts = differences(long, long.replace("word", "term", 1))
    assert parts is not None
    assert [part.text for part in parts if part.kind == "removed"] == ["word and word\n"]
    assert differences("x\n" * 4000, "y\n") is None


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"list": "delivered"},
        {"list": "decided", "state": "rejected"},
        {"domain": "a b&c", "workload": "ü", "reason": "guard:x", "older": "1.5", "due": "24"},
    ],
)
def test_a_filter_is_the_same_after_its_address(query: dict[str, str]):
    from urllib.parse import parse_qsl

    wanted = parse_filter(query)
    assert dict(parse_qsl(query_of(wanted).removeprefix("?"))) == query
    assert parse_filter(dict(parse_qsl(query_of(wanted).removeprefix("?")))) == wanted


@pytest.mark.parametrize(
    ("accepted", "cookie", "query", "expected"),
    [
        ("", "", "", "en"),
        ("de", "", "", "de"),
        ("de-CH, en;q=0.8", "", "", "de"),
        ("en, de;q=0.8", "", "", "en"),
        ("fr, de;q=0.2", "", "", "de"),
        ("de;q=x, *;q=0", "", "", "en"),
        ("de", "en", "", "en"),
        ("de", "en", "lang=de", "de"),
        ("en", "xx", "lang=../x", "en"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_browsers(
    accepted: str, cookie: str, query: str, expected: str
):
    headers = [
        (b"accept-language", accepted.encode()),
        (b"cookie", f"isthmus-desk-language={cookie}".encode()),
    ]
    assert (
        language_of(Request({"type": "http", "headers": headers, "query_string": query.encode()})) == expected
    )


def test_unsure_words_are_marked_where_they_stand():
    tokens = Tokens()
    tokens.take(
        {
            "content": [
                {"token": word, "logprob": p} for word, p in [("Pay ", -0.1), ("12", -1.2), (" €", -0.9)]
            ]
        }
    )
    unsure = tokens.unsure("Pay 12 €", 0.5, 10)
    assert unsure == [(4, 6, 0.301), (6, 8, 0.407)]
    pieces = text_pieces("Pay 12 €", [list(part) for part in unsure])
    assert [(piece.text, piece.percent) for piece in pieces] == [("Pay ", None), ("12", 30), (" €", 41)]
    assert [piece.text for piece in text_pieces("Pay", [[0, 9, 0.1], [-1, 2, 0.1], [2, 1, 0.1]])] == ["Pay"]


@given(st.lists(st.tuples(st.text(min_size=1, max_size=4), st.floats(-5, 0)), min_size=1, max_size=20))
def test_unsure_parts_are_whole_characters_in_order(words: list[tuple[str, float]]):
    text = "".join(word for word, _ in words)
    tokens, at = Tokens(), 0
    raw = text.encode()
    for word, logprob in words:
        size = len(word.encode())
        # A token may end within a character.
        cut = min(at + size, len(raw))
        tokens.take({"content": [{"token": word, "bytes": list(raw[at:cut]), "logprob": logprob}]})
        at = cut
    parts = tokens.unsure(text, 0.5, 100)
    ends = [0]
    for begin, end, probability in parts:
        assert ends[-1] <= begin < end <= len(text)
        assert probability < 0.5
        ends.append(end)


# --- Settings


def desk_settings() -> dict[str, Any]:
    text = (ROOT / "docs/desk.md").read_text()
    block = text[text.index("```yaml\n") + 8 : text.index("\n```\n", text.index("```yaml"))]
    return {**documented()[1], **YAML(typ="safe").load(block)}


def test_the_documented_desk_is_accepted():
    config = check(desk_settings(), FILE)
    assert isinstance(config, ReviewsConfig)
    assert config.desk is not None
    assert [group.role for group in config.desk.groups] == ["reviewer", "senior", "reviewer", "auditor"]
    assert config.desk.reasons["payments"][0].text("de") == "Falscher Betrag"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tokens": None}, "tokens and desk need each other"),
        ({"desk": None}, "tokens and desk need each other"),
        ({"url": "http://reviews.bank.example"}, "desk.url: must be https://"),
        ({"url": "https://reviews.bank.example/desk"}, "desk.url: must be https://"),
        ({"url": "https://reviews.bank.example:443"}, "desk.url: must be https://"),
        ({"groups": []}, "desk.groups"),
        ({"groups": [{"groups": ["a"], "role": "admin"}]}, "desk.groups.0.role"),
        ({"groups": [{"groups": ["a"], "domains": ["b"], "workloads": ["c"], "role": "senior"}]}, "not both"),
        ({"reasons": {"a": [{"code": "Bad", "label": "x"}]}}, "desk.reasons.a.0.code"),
        ({"reasons": {"a": [{"code": "b", "label": "x"}] * 2}}, "a code stands twice"),
        ({"guidelines": {"a": "x" * 70000}}, "desk.guidelines.a"),
        (
            {"listen": {"host": "::", "port": 8444, "certificate": "a", "key": "b"}},
            "must differ from listen.port",
        ),
    ],
)
def test_a_desk_that_cannot_work_is_refused_with_its_key(changes: dict[str, Any], says: str):
    settings = desk_settings()
    for key, value in changes.items():
        if key in ("tokens", "desk"):
            settings[key] = value
        else:
            settings["desk"] = {**settings["desk"], key: value}
    with pytest.raises(ConfigError, match=says):
        check(settings, FILE)


def test_a_restricted_desk_reads_no_keys_from_a_cloud():
    settings = desk_settings()
    tokens = {key: value for key, value in settings["tokens"].items() if key != "jwks_file"}
    settings["tokens"] = {**tokens, "jwks_url": "https://cognito-idp.amazonaws.com/keys"}
    with pytest.raises(ConfigError, match="is a cloud host"):
        check(settings, FILE)


def test_citations_are_marked_by_the_source_that_they_name():
    pieces = mark_citations(text_pieces("Due [1], not [7]; see [2, 1] and [0] in [2026]."), 2)
    assert "".join(piece.text for piece in pieces) == "Due [1], not [7]; see [2, 1] and [0] in [2026]."
    assert [(piece.text, piece.cites) for piece in pieces if piece.cites is not None] == [
        *(("[1]", 1), ("[7]", 0), ("[2, 1]", 2), ("[0]", 0)),
    ]
    assert missing_sources(["[1] [7]", None, "[0], [3, 2]"], 2) == [0, 3, 7]


@given(st.text(st.sampled_from("[]0123456789, ab\u200b"), max_size=40), st.integers(1, 9))
def test_marks_change_no_character_of_an_answer(text: str, count: int):
    pieces = text_pieces(text, [[0, 3, 0.1]])
    assert "".join(piece.text for piece in mark_citations(pieces, count)) == "".join(
        piece.text for piece in pieces
    )


def test_only_https_addresses_of_sources_become_links():
    urls = ["https://wiki.bank.example/a", "http://x.example/", "javascript:alert(1)", None]
    sources = sources_of({"sources": [{"title": "A", "text": "B", "url": url} for url in urls]})
    assert [(source.number, source.url) for source in sources] == [(1, urls[0]), (2, ""), (3, ""), (4, "")]
