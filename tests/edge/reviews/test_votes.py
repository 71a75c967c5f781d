"""Votes cannot be forged in the database; effects of a correction on an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.audit.content import decrypt
from edge.audit.keys import Keys, erase
from edge.config import ConfigError, HeldKeys
from edge.openai_api import Refusal
from edge.reviews.corrections import apply_correction, texts_of
from edge.reviews.envelope import Envelopes, Erased, correction_name
from edge.reviews.votes import Vote, Votes

KEY, HELD, LINE = b"w" * 32, "a" * 32, b'{"a line":1}'


@pytest.mark.parametrize(
    "forged",
    [
        Vote(0, "bert", Votes(b"x" * 32).seal(HELD, 0, "bert", LINE)),
        Vote(0, "bert", Votes(KEY).seal("b" * 32, 0, "bert", LINE)),
        Vote(0, "bert", Votes(KEY).seal(HELD, 1, "bert", LINE)),
        Vote(1, "bert", Votes(KEY).seal(HELD, 1, "bert", LINE)),
        Vote(0, "bert", Votes(KEY).seal(HELD, 0, "anna", LINE)),
        Vote(0, "bert", Votes(KEY).seal(HELD, 0, "bert", b"another")),
        Vote(0, "bert", b""),
    ],
    ids=[
        "another key",
        "another answer's",
        "of a later edition",
        "in a later edition",
        "another's",
        "other bytes",
        "none",
    ],
)
def test_a_vote_is_bound_to_one_person_one_version_and_one_content(forged: Vote):
    votes = Votes(KEY)
    anna = Vote(0, "anna", votes.seal(HELD, 0, "anna", LINE))
    assert votes.good(HELD, 0, LINE, [anna, anna]) == {"anna"}
    assert votes.good(HELD, 0, LINE, [anna, forged]) == {"anna"}


def envelopes(folder: Path) -> Envelopes:
    (folder / "keys").mkdir(exist_ok=True)
    (folder / "wrapping").write_text("ab" * 32)
    return Envelopes(HeldKeys(keys=folder / "keys", wrapping_key=folder / "wrapping"), "reviews")


def test_held_content_is_decrypted_only_for_its_own_answer_and_before_erasure(tmp_path: Path):
    sealed = envelopes(tmp_path)
    subject = "u-" + "1" * 32
    line = sealed.first(HELD, subject, 30, {"user": "erika"}, b"said")
    assert b"erika" not in line
    assert b"said" not in line
    assert sealed.open(line, HELD) == {"asked": {"user": "erika"}, "answer": b"said", "cut": False}
    correction = sealed.beside(line, correction_name(HELD), b"better")
    assert sealed.open(correction, correction_name(HELD))["answer"] == b"better"
    altered = json.dumps(
        {**json.loads(correction), "id": HELD}, sort_keys=True, separators=(",", ":")
    ).encode()
    for wrong in (correction, altered, b"", b"[]", b"\xff", b'{"id":"%s"}' % HELD.encode()):
        with pytest.raises(ValueError, match="altered"):
            sealed.open(wrong, HELD)
    keys = Keys(tmp_path / "keys", bytes.fromhex("ab" * 32))
    assert decrypt(keys, line) is not None, "it is a line as the audit's content is"
    assert erase(tmp_path / "keys", subject) == 1
    for opened in (
        lambda: sealed.open(line, HELD),
        lambda: sealed.open(correction, correction_name(HELD)),
        lambda: sealed.beside(line, correction_name(HELD), b"again"),
    ):
        with pytest.raises(Erased):
            opened()


def test_an_invalid_wrapping_key_is_an_error_that_names_its_setting(tmp_path: Path):
    (tmp_path / "wrapping").write_text("short")
    with pytest.raises(ConfigError, match=r"reviews\.wrapping_key: .* 64 hexadecimal digits"):
        Envelopes(HeldKeys(keys=tmp_path, wrapping_key=tmp_path / "wrapping"), "reviews")


def answer(**choice: Any) -> bytes:
    return json.dumps({"id": "c", "model": "credit", "choices": [{"index": 0, **choice}]}).encode()


def test_a_correction_replaces_the_text_with_its_tool_calls_and_log_probabilities():
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    chat = answer(message=message, logprobs={"content": []}, finish_reason="tool_calls")
    assert texts_of(chat) == [None]
    assert json.loads(apply_correction(chat, ["No."])) == {
        "id": "c",
        "model": "credit",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "No."}, "finish_reason": "stop"}
        ],
        "review": {"status": "corrected"},
    }
    text = apply_correction(answer(text="Yes"), ["Nein, ü."])
    assert texts_of(text) == ["Nein, ü."]


@pytest.mark.parametrize("texts", [None, "No.", [], ["a", "b"], [""], [3], {"0": "a"}])
def test_a_correction_needs_a_text_for_every_choice(texts: object):
    with pytest.raises(Refusal, match="a list of 1"):
        apply_correction(answer(text="Yes"), texts)
