"""Numbers that issuers published as examples are found, and their neighbours with a wrong digit are not."""

from __future__ import annotations

import pytest

from edge.redaction import Detector, Rules
from tests.edge.redaction.conftest import Seen

# From the issuers' own pages and standards, as python-stdnum's and Wikipedia's articles cite them.
PUBLISHED = [
    ("IBAN_CODE", "DE89 3704 0044 0532 0130 00"),
    ("IBAN_CODE", "GB82WEST12345698765432"),
    ("IBAN_CODE", "ch93 0076 2011 6238 5295 7"),
    ("CREDIT_CARD", "4111-1111-1111-1111"),
    ("CREDIT_CARD", "3782 822463 10005"),
    ("DE_TAX_ID", "86 095 742 719"),
    ("DE_SOCIAL_SECURITY", "15 070649 C 103"),
    ("DE_HEALTH_INSURANCE", "A123456780"),
    ("DE_ID_CARD", "T220001293"),
    ("UK_NHS", "943 476 5919"),
    ("CH_AHV", "756.9217.0769.85"),
    ("FR_NIR", "2 95 10 99 126 111 93"),
    ("IT_FISCAL_CODE", "RCCMNL83S18D969H"),
    ("ES_NIF", "54362315-K"),
    ("ES_NIE", "X-2482300-W"),
    ("EU_VAT", "FR 40303265045"),
    ("BE_NN", "85.07.30-033 28"),
    ("PL_PESEL", "44051401359"),
]
WITHOUT_CHECK = [
    ("UK_NINO", "AB 12 34 56 C"),
    ("US_SSN", "536-90-4399"),
    ("EMAIL_ADDRESS", "jürgen.o'neil+x@mail.müller-söhne.de"),
    ("PHONE_NUMBER", "+49 (0)30 901820"),
    ("IP_ADDRESS", "10.20.30.40"),
    ("IP_ADDRESS", "2001:db8::8a2e:370:7334"),
    ("MAC_ADDRESS", "00:1b:44:11:3a:b7"),
]


@pytest.mark.parametrize(("entity", "number"), PUBLISHED + WITHOUT_CHECK)
@pytest.mark.parametrize("sentence", ["It is {}, he said.", "({})", "{}", "Nr.{}\nx", "a=\u00a0{};b"])
def test_a_number_is_found_wherever_it_stands(seen: Seen, entity: str, number: str, sentence: str):
    assert any(name == entity and number in words for name, words in seen(sentence.format(number)))


@pytest.mark.parametrize(("entity", "number"), PUBLISHED)
def test_a_wrong_digit_makes_it_another_thing(seen: Seen, entity: str, number: str):
    at = max(place for place, each in enumerate(number) if each.isdigit())
    changed = [number[:at] + digit + number[at + 1 :] for digit in "0123456789" if digit != number[at]]
    found = sum(
        any(name == entity and words == each for name, words in seen(f"It is {each}.")) for each in changed
    )
    assert found <= 1, "its check digits are not asked"


@pytest.mark.parametrize(("_", "number"), PUBLISHED[:12])
def test_spaces_of_every_kind_and_what_nobody_sees_hide_nothing(seen: Seen, _: str, number: str):
    plain = "".join(filter(str.isalnum, number))
    for between in ("\u202f", "\u2009", "\u200b", "\u00ad"):
        spaced = number.replace(" ", between) if " " in number else number[:3] + "\u200b" + number[3:]
        found = "".join(words for _, words in seen(f"Nummer {spaced}, bitte"))
        assert plain in "".join(filter(str.isalnum, found))


def test_full_width_digits_are_digits(seen: Seen):
    wide = "".join(chr(ord(each) + 0xFEE0) for each in "4111111111111111")
    assert seen(f"card {wide}.") == [("CREDIT_CARD", wide)]


def test_a_number_within_a_longer_one_is_none(seen: Seen):
    assert not [each for each in seen("Auftrag X9434765919000000000001Y") if each[0] != "SECRET"]


def test_numbers_that_follow_each_other_are_two(seen: Seen):
    assert [entity for entity, _ in seen("GB82 WEST 1234 5698 7654 32 4111 1111 1111 1111")] == [
        "IBAN_CODE",
        "CREDIT_CARD",
    ]


def test_jurisdictions_that_are_not_asked_for_are_not_looked_for():
    swiss = Detector(Rules(jurisdictions=["ch"]))
    found = [
        each.entity
        for each in swiss.detect("756.9217.0769.85, 86 095 742 719, DE89370400440532013000").findings
    ]
    assert "DE_TAX_ID" not in found
    assert {"CH_AHV", "IBAN_CODE"} <= {*found}


def test_ordinary_numbers_are_left_alone(seen: Seen):
    text = "Am 12.03.2024 wurden 1.250,00 EUR in Raum 4711 gezahlt; Version 2.14.3, Seite 118, Auftrag 200417, 98 %."
    assert seen(text) == []


def test_an_amount_of_digits_takes_bounded_time(patterns: Detector):
    import time

    started = time.monotonic()
    for text in ("1 " * 4_000, "1" * 8_000, "A1" * 4_000, "a.b@" * 2_000):
        patterns.detect(text)
    assert time.monotonic() - started < 15
