"""Corrected answers as a data set: only approved, recorded and readable ones, and no field that names a person."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.audit.keys import erase
from edge.audit.records import digest
from edge.config import HeldKeys
from edge.database import Database
from edge.reviews.correction_set import CorrectionRecords, CorrectionSet, collect, request_without_names
from edge.reviews.envelope import Envelopes, correction_name

ID, SUBJECT = "a" * 32, "u-" + "1" * 32
SEAL = (7, "f" * 64)


class Rows:
    """A database with these rows."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self._rows = list(rows)

    async def fetch(self, _: str, *values: Any) -> list[dict[str, Any]]:
        return [row for row in self._rows if row["id"] > values[-1]]


@pytest.fixture
def envelopes(tmp_path: Path) -> Envelopes:
    (tmp_path / "keys").mkdir()
    (tmp_path / "wrapping.key").write_text("cd" * 32)
    return Envelopes(HeldKeys(keys=tmp_path / "keys", wrapping_key=tmp_path / "wrapping.key"), "held")


def answer(text: str) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


def row(envelopes: Envelopes, **changes: Any) -> dict[str, Any]:
    """A corrected and approved answer."""
    asked = {"messages": [{"role": "user", "content": "Who?", "name": "erika"}], "user": "erika"}
    content = envelopes.first(ID, SUBJECT, 7, asked, answer("Max"))
    corrected = envelopes.beside(content, correction_name(ID), answer("Moritz"))
    sealed = envelopes.votes.seal(ID, 1, "anna@bank", corrected)
    fields = {"id": ID, "edition": 1, "subject": SUBJECT, "content": content, "corrected": corrected}
    votes = {"by": ["anna@bank"], "sealed": [sealed], "decided_at": datetime(2026, 12, 1, tzinfo=UTC)}
    return {**fields, **votes, **changes}


def records(corrected: bytes) -> CorrectionRecords:
    common = {
        "id": ID,
        "who": {"workload": "claims"},
        "writer": "gw-0",
        "seq": 3,
        "time": "2026-12-01T00:00:00Z",
    }
    collected = CorrectionRecords("claims")
    act = {"kind": "review", "act": "correct", "reason": "wrong-name", "sha256": digest(corrected)}
    collected.add({**common, **act}, SEAL)
    ran = {"model": "llama", "digest": "sha256:1"}
    collected.add({**common, "kind": "outcome", "ran": ran, "held": {"why": ["impact"]}}, SEAL)
    return collected


def exported(envelopes: Envelopes, held: dict[str, Any], known: CorrectionRecords) -> CorrectionSet:
    database = cast(Database, Rows(held))
    return asyncio.run(collect(database, envelopes, known, ("confidential", "fra1")))


def test_a_line_has_question_answer_correction_and_lineage(envelopes: Envelopes):
    held = row(envelopes)
    (line,) = exported(envelopes, held, records(held["corrected"])).lines
    assert (line["answer"], line["correction"], line["reason"]) == (["Max"], ["Moritz"], "wrong-name")
    assert (line["model"], line["model_digest"], line["subject"]) == ("llama", "sha256:1", SUBJECT)
    assert line["lineage"]["correction"]["seal"] == 7
    assert line["lineage"]["correction_sha256"] == digest(held["corrected"])
    assert "erika" not in json.dumps(line)
    assert "anna" not in json.dumps(line)


def test_a_correction_that_is_not_the_recorded_one_is_left_out(envelopes: Envelopes):
    held = row(envelopes)
    left = exported(envelopes, held, records(b"another"))
    assert (left.lines, left.unsealed) == ([], 1)


def test_a_correction_without_valid_votes_is_left_out(envelopes: Envelopes):
    held = row(envelopes, sealed=[b"x" * 32])
    left = exported(envelopes, held, records(held["corrected"]))
    assert (left.lines, left.unproven) == ([], 1)


def test_an_erased_answer_is_left_out(envelopes: Envelopes):
    held = row(envelopes)
    assert erase(envelopes.folder, SUBJECT) == 1
    left = exported(envelopes, held, records(held["corrected"]))
    assert (left.lines, left.erased) == ([], 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.text(), lambda part: st.lists(part) | st.dictionaries(st.text(), part)
)


@given(request=st.dictionaries(st.text() | st.sampled_from(["user", "metadata", "messages"]), JSON))
def test_only_fields_that_were_asked_remain_of_any_request(request: dict[str, Any]):
    cleaned = request_without_names(request)
    assert set(cleaned) <= {"messages", "prompt", "tools", "response_format"}
    for message in cleaned.get("messages") or []:
        if isinstance(message, dict):
            assert "name" not in message
