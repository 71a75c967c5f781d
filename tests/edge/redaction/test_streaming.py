"""Streams: however a text is cut into pieces, no part of an entity leaves and nothing else is lost."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.redaction import Detector, PlaceholderBuffer, Rules, StreamBuffer, TooLong, hide
from edge.redaction.streaming import MAX_HELD
from tests.edge.redaction.test_identifiers import PUBLISHED, WITHOUT_CHECK
from tests.edge.redaction.test_secrets import KEY, TOKENS
from tests.sampling import sampled

SECRETS = frozenset(["SECRET"])


def streamed(detector: Detector, pieces: list[str], entities: frozenset[str] | None) -> list[str]:
    """The released text for each piece, and at the end."""
    buffer = StreamBuffer(detector.reach(entities))
    out = []
    for piece in pieces:
        buffer.add(piece)
        detection = detector.detect(buffer.window, entities=entities)
        out.append(buffer.release(detection.findings, undecided=detection.undecided))
    out.append(buffer.release(detector.detect(buffer.window, entities=entities).findings, last=True))
    return out


def redact_whole(detector: Detector, text: str, entities: frozenset[str] | None) -> str:
    return hide(text, detector.detect(text, entities=entities).findings)


def assert_hidden_at_every_cut(detector: Detector, text: str) -> None:
    """Check that the text is redacted, and that its stream gives the same result for each cut, and character by
    character.
    """
    spoken = f"As I said: {text} and that was all, for now. "
    expected = redact_whole(detector, spoken, None)
    assert expected != spoken
    for at in range(len(spoken)):
        assert "".join(streamed(detector, [spoken[:at], spoken[at:]], None)) == expected, f"cut at {at}"
    assert "".join(streamed(detector, list(spoken), None)) == expected


@pytest.mark.parametrize(
    ("entity", "value"),
    sampled([*PUBLISHED, *WITHOUT_CHECK, *(("SECRET", secret) for secret in (*TOKENS, KEY))]),
)
def test_an_entity_cut_at_any_position_never_leaks(patterns: Detector, entity: str, value: str):
    text = f"As I said, it is {value} and that was all of it, for the time being. "
    expected = redact_whole(patterns, text, None)
    assert f"<{entity}>" in expected
    for at in range(len(text)):
        out = "".join(streamed(patterns, [text[:at], text[at:]], None))
        assert out == expected, f"cut at {at}"


@pytest.mark.parametrize("value", [*TOKENS, KEY, "password: hunter2!", "le mot de passe est Xk9#mm2p"])
def test_secrets_that_arrive_one_character_at_a_time_never_leak(patterns: Detector, value: str):
    text = f"Well, {value} it is.\nBye"
    assert "".join(streamed(patterns, list(text), SECRETS)) == redact_whole(patterns, text, SECRETS)


def test_prose_is_released_word_by_word_if_only_secrets_are_searched(patterns: Detector):
    out = streamed(patterns, ["Certainly ", "everything ", "flows ", "without ", "hesitation"], SECRETS)
    assert out == ["Certainly ", "everything ", "flows ", "without ", "", "hesitation"]


def test_text_is_held_until_the_end_of_the_line_if_a_model_searches_names():
    from edge.redaction.streaming import Reach

    buffer = StreamBuffer(Reach(widest=50, lines=True))
    buffer.add("Claire Dubois est partie hier soir pour ")
    assert buffer.release([]) == ""
    buffer.add("toujours vraiment.\nEnsuite")
    assert buffer.release([]) == "Claire Dubois est partie hier soir pour toujours vraiment.\n"


def own_patterns(pattern: str = r"Project [A-Z][a-z]{2,10}") -> Detector:
    return Detector(Rules.model_validate({"patterns": [{"entity": "PROJECT", "pattern": pattern}]}))


def test_custom_patterns_hold_back_only_text_that_may_become_a_match():
    sought = frozenset(["PROJECT"])
    for pattern in (
        r"Project [A-Z][a-z]{2,10}",
        r"(?i)project \p{L}{2,10}(?: (?:north|south))?",
        r"\bX-[0-9]{1,200}\b",
    ):
        out = streamed(own_patterns(pattern), ["Short answer. ", "Another one, ", "yes. "], sought)
        assert out == ["Short answer. ", "Another one, ", "yes. ", ""]
    out = streamed(own_patterns(), ["We began Pro", "ject Blue", "bird then. "], sought)
    assert out == ["We began ", "", "<PROJECT> then. ", ""]


def test_without_a_decision_of_the_detector_text_is_held_by_the_width_of_its_patterns():
    buffer = StreamBuffer(own_patterns().reach(frozenset(["PROJECT"])))
    buffer.add("Short answer. ")
    assert buffer.release([]) == ""


@pytest.mark.parametrize(
    "pattern",
    [
        r"Project [A-Z][a-z]{2,10}",
        r"(?i:AZ|FZ)[ -]?[0-9]{1,4}/[0-9]{2}",
        r"\b(?:north|northern) \p{Lu}\p{Ll}{1,8}(?: [A-Z]\w{1,5}){0,2}",
        r"(?:ab?c|[^x]{2}z){1,3}!",
    ],
)
def test_a_match_of_a_custom_pattern_cut_at_any_position_never_leaks(pattern: str):
    detector, sought = own_patterns(pattern), frozenset(["PROJECT"])
    text = "The Project Bluebird, AZ 1234/56 of northern Wales Coast Path; abcabzacbcz! end"
    expected = redact_whole(detector, text, sought)
    assert "<PROJECT>" in expected
    for at in range(len(text)):
        assert "".join(streamed(detector, [text[:at], text[at:]], sought)) == expected
    assert "".join(streamed(detector, list(text), sought)) == expected


def test_matches_of_custom_patterns_are_hidden_wherever_a_text_is_cut():
    detector = own_patterns()
    text = "We started Project Bluebird yesterday. " * 3
    for at in range(len(text)):
        out = "".join(streamed(detector, [text[:at], text[at:]], None))
        assert "Blue" not in out
        assert out == redact_whole(detector, text, None)


def test_a_private_key_without_an_end_is_held_back_up_to_a_limit():
    buffer = StreamBuffer(Detector(Rules()).reach(SECRETS))
    buffer.add("-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(TooLong):
        buffer.add("M" * MAX_HELD)


WORDS = [
    "the",
    "an order",
    "of",
    "4711",
    "12.50",
    "EUR",
    "meeting",
    "Straße",
    "\n",
    "DE",
    "GB82",
    "WEST",
    "is",
    "(a)",
    "–",
    "key",
]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([None, SECRETS]))
def test_pieces_of_any_size_give_the_same_result_as_the_whole_text(
    seed: int, entities: frozenset[str] | None
):
    lot = random.Random(seed)
    detector = _shared()
    values = [value for _, value in PUBLISHED] + TOKENS
    text = " ".join(lot.choice(WORDS + values) for _ in range(lot.randint(3, 25)))
    pieces, at = [], 0
    while at < len(text):
        size = lot.choice([1, 1, 2, 3, 5, 8, 30])
        pieces.append(text[at : at + size])
        at += size
    out = "".join(streamed(detector, pieces, entities))
    for value in values:
        if value in text and value not in redact_whole(detector, text, entities):
            assert value not in out
            assert value[: len(value) * 2 // 3] not in out, "most of it went out"


_detectors: list[Detector] = []


def _shared() -> Detector:
    if not _detectors:
        _detectors.append(Detector(Rules()))
    return _detectors[0]


def test_a_placeholder_cut_at_any_position_is_restored_whole():
    text = "Dear <PERSON_1>, a < b and <c>."
    assert PlaceholderBuffer().add("if a < b") == "if a < b", "it waits for what no placeholder begins with"
    for at in range(len(text)):
        holding = PlaceholderBuffer()
        out = [holding.add(text[:at]), holding.add(text[at:]), holding.add("", last=True)]
        assert "".join(out) == text
        assert all(("<PERSON" in piece) == ("<PERSON_1>" in piece) for piece in out)
