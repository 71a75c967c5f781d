"""The format of a record and the hash chain, on arbitrary records."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.audit.records import Broken, Chain, canonical, find_shape_error, parse
from tests.edge.audit.harness import outcome

WRITER = "gw-0-20261126t150000z-00000000"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(st.text(string.ascii_lowercase, min_size=1, max_size=6), VALUES, max_size=4)


def chain_of(records: list[dict[str, Any]]) -> list[bytes]:
    chain = Chain(WRITER)
    kinds = ["open", *["intent"] * len(records)]
    return [
        chain.write(kind, "2026-11-26T15:00:00.000Z", fields)
        for kind, fields in zip(kinds, [{}, *records], strict=True)
    ]


def follow(lines: list[bytes], writer: str = WRITER) -> list[dict[str, Any]]:
    chain = Chain(writer)
    return [chain.follow(line) for line in lines]


@given(FIELDS)
def test_a_record_is_one_ascii_line_that_is_parsed_back_unchanged(fields: dict[str, Any]):
    line = canonical(fields)
    assert b"\n" not in line
    assert line.isascii()
    assert parse(line) == json.loads(line) == json.loads(json.dumps(fields))


@given(st.lists(FIELDS, min_size=1, max_size=5))
def test_an_unchanged_chain_is_verified_up_to_its_head(records: list[dict[str, Any]]):
    lines = chain_of(records)
    read = follow(lines)
    assert [record["seq"] for record in read] == list(range(len(lines)))
    for record, fields in zip(read[1:], records, strict=True):
        reserved = {"v", "kind", "time", "writer", "seq", "prev"}
        assert {k: v for k, v in record.items() if k not in reserved} == {
            k: v for k, v in json.loads(json.dumps(fields)).items() if k not in reserved
        }


@given(st.lists(FIELDS, min_size=2, max_size=5), st.data())
def test_a_chain_with_missing_doubled_or_reordered_records_is_refused(
    records: list[dict[str, Any]], data: st.DataObject
):
    lines = chain_of(records)
    at = data.draw(st.integers(0, len(lines) - 2))
    changed = data.draw(
        st.sampled_from(
            [
                [*lines[:at], *lines[at + 1 :]],
                [*lines[: at + 1], *lines[at:]],
                [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
            ]
        )
    )
    with pytest.raises(Broken):
        follow(changed)


@given(st.lists(FIELDS, min_size=1, max_size=4), st.data())
def test_any_changed_byte_breaks_the_chain_or_changes_its_head(
    records: list[dict[str, Any]], data: st.DataObject
):
    lines = chain_of(records)
    at = data.draw(st.integers(0, len(lines) - 1))
    byte = data.draw(st.integers(0, len(lines[at]) - 1))
    put = data.draw(st.integers(0, 255).filter(lambda value: value != lines[at][byte]))
    changed = [*lines]
    changed[at] = lines[at][:byte] + bytes([put]) + lines[at][byte + 1 :]
    true, chain = Chain(WRITER), Chain(WRITER)
    for line in lines:
        true.follow(line)
    try:
        for line in changed:
            chain.follow(line)
    except Broken:
        return
    assert at == len(lines) - 1
    assert chain.head != true.head


@pytest.mark.parametrize(
    "line",
    [
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":2}',
        b"[]",
        b"",
        b'{"a":NaN}',
        b'{"a":"\xc3\xa4"}',
        b'{"a":1}\r',
    ],
)
def test_a_line_that_is_not_in_canonical_form_is_refused(line: bytes):
    with pytest.raises(Broken):
        parse(line)


def test_a_chain_has_one_writer_one_beginning_and_one_end():
    lines = chain_of([{}])
    with pytest.raises(Broken, match="of writer"):
        follow(lines, "gw-1-20261126t150000z-00000000")
    twice = Chain(WRITER)
    opened = [twice.write("open", "t", {}) for _ in range(2)]
    with pytest.raises(Broken, match="begins with the record `open`"):
        follow(opened)
    ended = Chain(WRITER)
    closed = [ended.write(kind, "t", {}) for kind in ("open", "close", "intent")]
    with pytest.raises(Broken, match="had ended"):
        follow(closed)


def test_an_oversized_record_is_refused_and_does_not_change_the_chain():
    chain = Chain(WRITER)
    with pytest.raises(ValueError, match="a record of"):
        chain.write("open", "t", {"x": "a" * 70_000})
    assert chain.seq == -1


REVIEW: dict[str, Any] = {
    **{"kind": "review", "id": "1", "class": "internal", "site": "fra1", "gateway": "gw-0", "who": {}},
    **{"act": "approve", "state": "approved", "version": 2, "reason": "good", "sha256": "0" * 64},
}


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({}, None),
        ({"answer": ["0" * 64], "turns": ["matches"]}, None),
        ({"answer": "0" * 64}, "answer is not as it must be"),
        ({"turns": [1]}, "turns is not as it must be"),
    ],
)
def test_hmacs_of_answers_may_be_missing_from_old_records_and_must_be_lists(
    more: dict[str, Any], error: str | None
):
    assert find_shape_error({**REVIEW, **more}) == error


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({}, None),
        ({"price": None, "gpu_seconds": None}, None),
        ({"price": {"usd_per_gpu_hour": 3.6}, "gpu_seconds": 0.4}, None),
        ({"price": 3.6}, "price is not as it must be"),
        ({"gpu_seconds": "1"}, "gpu_seconds is not as it must be"),
    ],
)
def test_an_outcome_may_lack_a_price_and_has_no_other_kind_of_one(more: dict[str, Any], error: str | None):
    assert find_shape_error({"kind": "outcome", **outcome("r1"), **more}) == error
