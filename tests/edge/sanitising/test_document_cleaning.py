"""Cleaning of one document: text beside placeholders is checked again, and placeholders are not names."""

from __future__ import annotations

from edge.redaction import Rules
from edge.sanitising import Cleaner, Document
from edge.sanitising.document import label_of_field
from tests.edge.sanitising.conftest import CARD, MAIL


def cleaner_with(**patterns: str) -> Cleaner:
    patterns_config = [{"entity": name, "pattern": pattern} for name, pattern in patterns.items()]
    return Cleaner(Rules.model_validate({"patterns": patterns_config}))


def text(cleaner: Cleaner, content: str) -> str:
    return cleaner.clean(Document((("", content),))).texts[0]


def test_a_value_that_is_only_found_beside_a_placeholder_is_removed_too():
    cleaner = cleaner_with(ONE="A[0-9]{3}", TWO=">[a-z]{3}")
    assert text(cleaner, "A123abc") == "<ONE_1><TWO_1>"


def test_a_finding_around_placeholders_removes_only_the_text_between_them():
    cleaner = cleaner_with(OWN="BEGIN[^.]{1,60}END")
    assert (
        text(cleaner, "x BEGIN <PERSON_1> y <PERSON_2> END.")
        == "x <OWN_1><PERSON_1><OWN_2><PERSON_2><OWN_3>."
    )
    assert text(cleaner, "BEGIN <PERSON_1>END <PERSON_2>") == "<OWN_1><PERSON_1><OWN_2> <PERSON_2>"


def test_fields_of_one_document_share_placeholders(cleaner: Cleaner):
    document = Document((("a", f"{MAIL}, bob@example.com"), ("b", f"of {MAIL}"), ("card", CARD)))
    clean = cleaner.clean(document)
    assert clean.texts == (
        "<EMAIL_ADDRESS_1>, <EMAIL_ADDRESS_2>",
        "of <EMAIL_ADDRESS_1>",
        "<CREDIT_CARD_1>",
    )
    assert clean.found == {"EMAIL_ADDRESS": 3, "CREDIT_CARD": 1}


def test_the_name_of_a_field_is_split_into_words():
    assert label_of_field("dateOfBirth") == "date Of Birth: "
    assert label_of_field("account_holder.name") == "account holder name: "
    assert label_of_field("") == ""
