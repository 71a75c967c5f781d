"""Published example numbers of issuers are found, and numbers with a wrong digit are not."""

from __future__ import annotations

import re

import pytest

from edge.redaction import Detector, Rules
from tests.edge.redaction.conftest import Seen

# From the issuers' own pages and standards, as cited by python-stdnum and Wikipedia.
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
def test_a_published_number_is_found_in_any_context(find: Seen, entity: str, number: str, sentence: str):
    assert any(name == entity and number in value for name, value in find(sentence.format(number)))


@pytest.mark.parametrize(("entity", "number"), PUBLISHED)
def test_a_number_with_a_wrong_check_digit_is_not_found(find: Seen, entity: str, number: str):
    at = max(place for place, character in enumerate(number) if character.isdigit())
    changed = [number[:at] + digit + number[at + 1 :] for digit in "0123456789" if digit != number[at]]
    hits = sum(
        any(name == entity and value == candidate for name, value in find(f"It is {candidate}."))
        for candidate in changed
    )
    assert hits <= 1, "its check digits are not asked"


@pytest.mark.parametrize(("_", "number"), PUBLISHED[:12])
def test_a_number_with_any_kind_of_space_or_invisible_character_is_found(find: Seen, _: str, number: str):
    plain = "".join(filter(str.isalnum, number))
    for between in ("\u202f", "\u2009", "\u200b", "\u00ad"):
        spaced = number.replace(" ", between) if " " in number else number[:3] + "\u200b" + number[3:]
        hidden = "".join(value for _, value in find(f"Nummer {spaced}, bitte"))
        assert plain in "".join(filter(str.isalnum, hidden))


def test_a_number_in_full_width_digits_is_found(find: Seen):
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in "4111111111111111")
    assert find(f"card {wide}.") == [("CREDIT_CARD", wide)]


def test_a_number_within_a_longer_number_is_not_found(find: Seen):
    assert not [finding for finding in find("Auftrag X9434765919000000000001Y") if finding[0] != "SECRET"]


def test_two_consecutive_numbers_are_two_findings(find: Seen):
    assert [entity for entity, _ in find("GB82 WEST 1234 5698 7654 32 4111 1111 1111 1111")] == [
        "IBAN_CODE",
        "CREDIT_CARD",
    ]


def test_numbers_of_other_jurisdictions_are_not_searched():
    swiss = Detector(Rules(jurisdictions=["ch"]))
    entities = [
        finding.entity
        for finding in swiss.detect("756.9217.0769.85, 86 095 742 719, DE89370400440532013000").findings
    ]
    assert "DE_TAX_ID" not in entities
    assert {"CH_AHV", "IBAN_CODE"} <= {*entities}


def test_ordinary_numbers_are_not_findings(find: Seen):
    text = "Am 12.03.2024 wurden 1.250,00 EUR in Raum 4711 gezahlt; Version 2.14.3, Seite 118, Auftrag 200417, 98 %."
    assert find(text) == []


def test_a_long_run_of_digits_takes_bounded_time(patterns: Detector):
    import time

    started = time.monotonic()
    for text in ("1 " * 4_000, "1" * 8_000, "A1" * 4_000, "a.b@" * 2_000):
        patterns.detect(text)
    assert time.monotonic() - started < 15


CARD = "4111111111111111"
GROUPINGS = [
    "  ",
    ".",
    "/",
    "_",
    "·",
    "•",
    "\n",
    "\r\n",
    " \n ",
    "** **",
    "` `",
    " | ",
    " · ",
    "\t",
    "\u00a0\u00a0",
    "–",
]


@pytest.mark.parametrize("gap", GROUPINGS)
def test_a_card_is_found_in_any_grouping(find: Seen, gap: str):
    card = gap.join(CARD[at : at + 4] for at in range(0, 16, 4))
    assert find(f"Pay with **{card}** today") == [("CREDIT_CARD", card)]
    american = gap.join(("3782", "822463", "10005"))
    assert find(f"Pay with {american} today") == [("CREDIT_CARD", american)]


@pytest.mark.parametrize("gap", [*GROUPINGS, "-", " "])
def test_an_iban_is_found_whole_in_any_grouping(find: Seen, gap: str):
    for iban in ("DE89370400440532013000", "GB82WEST12345698765432"):
        grouped = gap.join(iban[at : at + 4] for at in range(0, len(iban), 4))
        assert find(f"An {grouped}, bitte") == [("IBAN_CODE", grouped)]


@pytest.mark.parametrize(
    "card",
    [
        "180016070420458",
        "213176828496175",
        "501864667909",
        "630427373398",
        "675984103431",
        "676222165679",
        "587428561654",
    ],
)
def test_jcb_cards_with_15_digits_and_maestro_cards_are_found(find: Seen, card: str):
    assert find(f"What is the limit of {card}?") == [("CREDIT_CARD", card)]


def test_a_card_with_a_wrong_digit_is_found_beside_a_word_like_card(find: Seen):
    assert find("my credit card number is 4111 1111 1111 1112.") == [("CREDIT_CARD", "4111 1111 1111 1112")]


@pytest.mark.parametrize(
    "text",
    [
        "| 4000 | 4100 | 4200 | 4300 |\n| 4400 | 4500 | 4600 | 4700 |",
        "Versions 4.11.1, 5.2.0 and 6.10.3 of 2024-11-12 10:11:12.",
        "4 111 111 111 111 EUR, 12.500,00 and 1,000,000.00",
        "2019/2020/2021/2022 and 5-6-7-8-9-10-11-12",
    ],
)
def test_columns_versions_and_amounts_are_not_taken_for_cards(find: Seen, text: str):
    assert [finding for finding in find(text) if finding[0] == "CREDIT_CARD"] == []


@pytest.mark.parametrize("number", ["900-12-3456", "987654321", "000-12-3456", "666 12 3456", "123.45.6789"])
def test_a_social_security_number_is_found_only_beside_a_word_for_it(find: Seen, number: str):
    for sentence in ("my SSN is {}", "Social Security number: {}", "SSN {} and", "ssn={}"):
        assert ("US_SSN", number) in find(sentence.format(number))
    unsaid = [name for name, _ in find(f"the part {number} is out of stock") if name == "US_SSN"]
    assert unsaid == (["US_SSN"] if number.count("-") == 2 else []), (
        "three, two and four digits with dashes are one"
    )


PHONES = """
    +49 30 901820; +49 (0) 30 901820; +44 20 7946 0958; 0044 20 7946 0958; 011 44 20 7946 0958; +1-984-182-0190
    001-518-640-0854; (579)888-3058; (579) 888-3058; 345-899-3560x4587; +1-604-696-5272x565; 345-899-3560 ext. 12
    259.735.7502x459; 020 7946 0958; 01.23.45.67.89; 0699 211 15 14; (08) 9442 8843; (37) 788-063; 71-33-52-22
    030/901820-12; 1-800-555-0199
"""


@pytest.mark.parametrize("number", re.split(r"[;\n] *", PHONES.strip()))
def test_a_telephone_number_is_found_in_the_notation_of_every_country(find: Seen, number: str):
    assert any(number in value for _, value in find(f"It is {number}, he said."))


@pytest.mark.parametrize(
    "text",
    [
        "call 78 651 450",
        "They are not answering at 99 668472",
        "781 1704 office",
        "655 437 108 - Fax",
        "my mobile: 699 956 915",
    ],
)
def test_a_local_number_is_found_by_the_words_beside_it(find: Seen, text: str):
    assert [name for name, _ in find(text)] == ["PHONE_NUMBER"]


@pytest.mark.parametrize(
    "text",
    [
        "Our intelligence unit filed 20231145 last week",
        "A hotel booking, 1234567, was made",
        "<PHONE_NUMBER_1> asked about 20231145",
        "Please contact us about invoice 20231145",
        "call about order no. 0123456780",
        "I called regarding ticket #4455667",
        "Bitte Rechnung 20231145 telefonisch klären",
        "Contact: <PERSON_1>, invoice number: 20231145",
    ],
)
def test_invoice_and_order_numbers_are_not_taken_for_telephone_numbers(find: Seen, text: str):
    assert find(text) == []


def test_context_words_of_an_organisation_match_as_whole_words():
    def count_findings(context: str, text: str) -> int:
        rules = {"patterns": [{"entity": "CASE_NUMBER", "pattern": "[0-9]{6}", "context": [context]}]}
        return len(
            Detector(Rules.model_validate(rules)).detect(text, entities=frozenset(["CASE_NUMBER"])).findings
        )

    assert count_findings("case", "The case 123456") == 1
    assert count_findings("case", "The staircase 123456") == 0
    assert count_findings("case", "The cases 123456") == 0
    assert count_findings("case*", "The cases 123456") == 1
    assert count_findings("*akte", "Kundenakte 123456") == 1
    assert count_findings("case number", "Case  number: 123456") == 1
