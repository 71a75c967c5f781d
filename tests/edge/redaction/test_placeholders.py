"""Placeholders: replaced values are restored within the same request, and nowhere else."""

from __future__ import annotations

import json

from edge.redaction import Detector, Placeholders

TEXT = "Pay DE89 3704 0044 0532 0130 00 and 4111111111111111; again DE89370400440532013000."


def test_a_value_has_the_same_placeholder_however_it_is_spaced(patterns: Detector):
    redacted = Placeholders([TEXT]).redact(TEXT, patterns.detect(TEXT).findings)
    assert redacted == "Pay <IBAN_CODE_1> and <CREDIT_CARD_1>; again <IBAN_CODE_1>."


def test_values_are_restored_in_the_answer(patterns: Detector):
    placeholders = Placeholders([TEXT])
    placeholders.redact(TEXT, patterns.detect(TEXT).findings)
    assert placeholders.restore("I paid <IBAN_CODE_1>.") == "I paid DE89 3704 0044 0532 0130 00."
    assert placeholders.restore("<IBAN_CODE_2> <PERSON_1> <x>") == "<IBAN_CODE_2> <PERSON_1> <x>", (
        "it invents values"
    )


def test_a_placeholder_in_the_original_text_is_not_reused(patterns: Detector):
    text = "Say <IBAN_CODE_1> for DE89370400440532013000"
    placeholders = Placeholders([text])
    redacted = placeholders.redact(text, patterns.detect(text).findings)
    assert redacted == "Say <IBAN_CODE_1> for <IBAN_CODE_2>"
    assert placeholders.restore(redacted) == text


def test_a_text_with_the_largest_placeholder_number_gets_its_values_back(patterns: Detector):
    text = "Say <IBAN_CODE_999999>, <IBAN_CODE_9999999> or <IBAN_CODE_99999999> for DE89370400440532013000"
    placeholders = Placeholders([text])
    redacted = placeholders.redact(text, patterns.detect(text).findings)
    assert redacted.count("<IBAN_CODE_") == 4
    assert placeholders.restore(redacted) == text


def test_no_placeholder_number_that_is_in_the_text_is_used():
    text = "".join(f"<PERSON_{number}>" for number in range(1, 40, 2))
    placeholders = Placeholders([text])
    placeholders_given = [placeholders.of("PERSON", f"name {number}") for number in range(30)]
    assert len({*placeholders_given}) == 30
    assert not [placeholder for placeholder in placeholders_given if placeholder in text]


def test_every_placeholder_of_a_request_with_many_values_is_restored():
    placeholders = Placeholders()
    placeholders._counts["PERSON"] = 999_999  # like after a million values
    placeholder = placeholders.of("PERSON", "Ann")
    assert placeholder == "<PERSON_1000000>"
    assert placeholders.restore(f"Dear {placeholder}") == "Dear Ann"


def test_restored_values_are_escaped_within_json():
    placeholders = Placeholders()
    name = placeholders.of("PERSON", 'Ann "Q" O\nNeil')
    assert json.loads(placeholders.restore(json.dumps({"to": name}), in_json=True)) == {
        "to": 'Ann "Q" O\nNeil'
    }


def test_placeholders_of_one_request_are_not_restored_in_another():
    first, second = Placeholders(), Placeholders()
    assert second.restore(first.of("PERSON", "Ann")) == "<PERSON_1>"
