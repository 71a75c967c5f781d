"""Identifiers in unusual notations are found whole: joined to a word, split into characters, or with separators."""

from __future__ import annotations

import itertools
import re
import string

import pytest
from stdnum import numdb

from edge.redaction import Detector
from edge.redaction.checksums import IBAN_STRUCTURES
from tests.edge.redaction.conftest import Seen
from tests.edge.redaction.test_streaming import assert_hidden_at_every_cut, streamed
from tests.sampling import sampled

IBAN, CARD = "DE89370400440532013000", "4111111111111111"
NORWEGIAN, BRITISH = "NO9386011117947", "GB82WEST12345698765432"


def _groups(value: str, size: int = 4) -> list[str]:
    return [value[at : at + size] for at in range(0, len(value), size)]


GLUED = [
    ("IBAN_CODE", "iban{}ende", IBAN),
    ("IBAN_CODE", "xyz{} ok", IBAN),
    ("IBAN_CODE", "iban{}ende", IBAN.lower()),
    ("IBAN_CODE", "Konto{}und", "DE89 3704 0044 0532 0130 00"),
    ("IBAN_CODE", "IBAN{}BIC", BRITISH),
    ("IBAN_CODE", "x{}y", NORWEGIAN),
    ("IBAN_CODE", "17{}y", IBAN),
    ("IBAN_CODE", "00{}000000125000EUR", IBAN),
    ("IBAN_CODE", "账号{}请付款", IBAN),
    ("CREDIT_CARD", "Karte{}Ende", CARD),
    ("CREDIT_CARD", "Karte{}", "4111 1111 1111 1111"),
    ("CREDIT_CARD", "amex{}x", "378282246310005"),
    ("CREDIT_CARD", "卡号{}请付款", CARD),
]
SPLIT = [
    *(
        ("IBAN_CODE", gap.join(IBAN))
        for gap in (" ", "-", ".", "\n", "\r\n", "  ", "_", "|", " | ", ", ", '","')
    ),
    ("IBAN_CODE", " ".join(BRITISH)),
    ("IBAN_CODE", " ".join(IBAN.lower())),
]
MARKS = [
    "+", ",", ", ", ";", "; ", r"\n", r"\r\n", r"\\n", r"\t", "<br>", "<br/>", "<br />\n", "</td><td>", "</td>\n  <td>",
]  # fmt: skip
PARTED = [
    *(("IBAN_CODE", mark.join(_groups(value))) for mark in MARKS for value in (IBAN, BRITISH)),
    *(("CREDIT_CARD", mark.join(_groups(CARD))) for mark in MARKS),
    ("CREDIT_CARD", "3782,822463,10005"),
    *(("CREDIT_CARD", mark.join(_groups(CARD))) for mark in ('","', '", "', "', '", '",\n      "')),
    *(("IBAN_CODE", mark.join(_groups(IBAN))) for mark in ('","', '", "', "', '", '",\n      "')),
]
LOOK_ALIKE = ["DE89 37O4 OO44 O532 O13O OO", "DE89 3704 0044 0532 0l30 00", "DE8937040044O532OI3000"]


@pytest.mark.parametrize(("entity", "sentence", "value"), GLUED)
def test_a_value_joined_to_a_word_is_found(find: Seen, entity: str, sentence: str, value: str):
    assert (entity, value) in find(f"Bitte {sentence.format(value)}")


@pytest.mark.parametrize(("entity", "value"), SPLIT + PARTED)
@pytest.mark.parametrize("sentence", ["It is {}, he said.", "id={}", '["{}"]', "<td>{}</td>"])
def test_a_value_split_by_separators_is_found_whole(find: Seen, entity: str, value: str, sentence: str):
    assert find(sentence.format(value)) == [(entity, value)]


def test_a_card_in_a_list_of_json_numbers_is_found(find: Seen):
    assert find('{"pan": [4111,1111,1111,1111]}') == [("CREDIT_CARD", "4111,1111,1111,1111")]
    assert find('{"pan": [4111, 1111, 1111, 1111]}') == [("CREDIT_CARD", "4111, 1111, 1111, 1111")]


@pytest.mark.parametrize("iban", LOOK_ALIKE)
def test_letters_that_look_like_digits_are_accepted_in_an_iban(find: Seen, iban: str):
    assert find(f"An {iban}, bitte") == [("IBAN_CODE", iban)]


@pytest.mark.parametrize(
    "text",
    [
        # Not a card: part of a longer number, a digest or a list, or of no card network.
        "Auftrag 4111111111111111000", "order x4111111111111111000", "order 0004111111111111111x",
        "sha256 9c4111111111111111efa0", "trace-a4111111111111111b", "id 5a4111111111111111",
        "[4111,1111,1111,1111,12]", "[17, 4111, 1111, 1111, 1111]", "sizes 4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
        "years [2019,2020,2021,2022], [2017, 2018, 2019, 2020] and [2020;2021;2022;2023]",
        "ports 4000,4001,4002,4005; 5300, 5200, 5100, 5007", "2019 2020 2021 2022 2025",
        "4,111,111,111,111,111 bytes", "1999,2000,2001,2002", "x1234567890123456y",
        # Not an account: a wrong check digit, a digest, prose.
        "ibanDE89370400440532013001ende", "xde89370400440532013000a".replace("x", "f"), "KW 12 sind wir alle im Urlaub",
        "D E 8 9 3 7 0 4 0 0 4 4 0 5 3 2 0 1 3 0 0 1", "DE89; 3704; 0044; 0532; 0130; 01",
        "at20261129143312123 no20261129143312345 Kino 2026 11 29 14 33 12",
        # Not in groups.
        r"1<br>2<br>3 and \n4 \t5", "C++11, C++14; 4711+12", "a,b;c 12,50; 13,75; 14,00",
    ],
)  # fmt: skip
def test_numbers_that_only_resemble_identifiers_are_not_findings(find: Seen, text: str):
    assert find(text) == []


@pytest.mark.parametrize(
    "text",
    sampled(
        [
            *(sentence.format(value) for _, sentence, value in GLUED),
            *(value for _, value in SPLIT + PARTED),
            *(f"<tr><td>{value}</td></tr>" for _, value in PARTED[:30:7]),
            "[4111, 1111, 1111, 1111]",
            *LOOK_ALIKE,
        ],
        3,
    ),
)
def test_values_in_unusual_notation_are_hidden_in_a_stream_cut_anywhere(patterns: Detector, text: str):
    assert_hidden_at_every_cut(patterns, text)


@pytest.mark.parametrize(
    "text",
    ["[4111, 1111, 1111, 1111, 12]", f"Auftrag {CARD}000", "DE89; 3704; 0044; 0532; 0130; 01", "4111<br>12"],
)
def test_a_stream_cut_anywhere_hides_nothing_that_the_whole_text_does_not_hide(patterns: Detector, text: str):
    for at in range(len(text)):
        assert "".join(streamed(patterns, [text[:at], text[at:]], None)) == text, f"cut at {at}"


def test_iban_structures_equal_those_of_python_stdnum():
    registry = numdb.get("iban")
    pairs = ("".join(letters) for letters in itertools.product(string.ascii_uppercase, repeat=2))
    structures = {country: registry.info(f"{country}00")[0][1].get("bban", "") for country in pairs}
    assert {
        country: "".join(kind * int(count) for count, kind in re.findall(r"([0-9]+)!([nac])", structure))
        for country, structure in structures.items()
        if structure
    } == IBAN_STRUCTURES
