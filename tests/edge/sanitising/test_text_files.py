"""Sanitising text, JSON and JSON lines: findings are replaced, all other bytes stay, unreadable files are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.sanitising import Cleaner, Refused
from tests.edge.sanitising.conftest import CARD, IBAN, MAIL, cleaned


def test_a_value_has_the_same_placeholder_throughout_a_document(cleaner: Cleaner):
    text = f"{IBAN} of {MAIL}\r\n\nAgain DE89 3704 0044 0532 0130 00.\n"
    output = cleaned(cleaner, "a.md", text.encode()).decode()
    assert output == "<IBAN_CODE_1> of <EMAIL_ADDRESS_1>\r\n\nAgain <IBAN_CODE_1>.\n"


def test_a_placeholder_in_the_document_is_not_used_for_another_value(cleaner: Cleaner):
    output = cleaned(cleaner, "a.txt", f"<PERSON_4>, <EMAIL_ADDRESS_1> and {MAIL}".encode())
    assert output == b"<PERSON_4>, <EMAIL_ADDRESS_1> and <EMAIL_ADDRESS_2>"


def test_a_secret_that_is_written_like_a_placeholder_is_removed(cleaner: Cleaner):
    key = "AKIA" + "QWERTZUIOPASDFGH"
    assert key.encode() not in cleaned(cleaner, "a.txt", f"<{key}_1>".encode())


def test_json_keeps_every_byte_outside_of_findings(cleaner: Cleaner):
    head = '\ufeff{ "n": [1.50, 2e3, null, true], "n": "x", "é": "\\u00e9 '
    text = f'{head}{MAIL}",\t"iban" : "{IBAN}"}}\n'
    output = cleaned(cleaner, "a.json", text.encode()).decode()
    assert output == text.replace(IBAN, "<IBAN_CODE_1>").replace(MAIL, "<EMAIL_ADDRESS_1>")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (CARD, True),
        (CARD + ".0", True),
        ("4.111111111111111e15", True),
        ("1e999999999", False),
        ("1e9999999999999999999", False),
        ("4111111111111112", False),
        ("12.5", False),
    ],
)
def test_a_number_that_is_a_finding_becomes_a_text(cleaner: Cleaner, number: str, expected: bool):
    output = cleaned(cleaner, "a.json", f'{{"card": [{number}]}}'.encode()).decode()
    assert output == ('{"card": ["<CREDIT_CARD_1>"]}' if expected else f'{{"card": [{number}]}}')


def test_the_name_of_a_field_is_context_for_its_value(cleaner: Cleaner):
    fields = {
        "cvv": 123,
        "clientSecret": "hunter2-blue",
        "date_of_birth": "12.03.1979",
        "accountHolder": "Ann Blue",
    }
    output = json.loads(cleaned(cleaner, "a.json", json.dumps(fields).encode()))
    assert output == {
        "cvv": "<CARD_CODE_1>",
        "clientSecret": "<SECRET_1>",
        "date_of_birth": "<DATE_OF_BIRTH_1>",
        "accountHolder": "<PERSON_1>",
    }


def test_json_lines_are_separate_documents_and_empty_lines_stay(cleaner: Cleaner):
    text = f'{{"a": "{MAIL}"}}\r\n\n{{"a": "\u2028x bob@example.com"}}'
    output = cleaned(cleaner, "a.jsonl", text.encode()).decode()
    assert output == '{"a": "<EMAIL_ADDRESS_1>"}\r\n\n{"a": "\u2028x <EMAIL_ADDRESS_1>"}'


@pytest.mark.parametrize(
    ("name", "data", "message", "line"),
    [
        ("a.txt", b"fine\n\xff\xfe\n", "not UTF-8", 2),
        ("a.txt", b"fine\nfine\n\0", "NUL", 3),
        ("a.txt", b"-----BEGIN PGP MESSAGE-----\n", "encrypted", None),
        ("a.json", b'{"a":\n 1,,}', "no JSON", 2),
        ("a.json", b"", "no JSON", 1),
        ("a.json", b"[NaN]", "no number", None),
        ("a.json", b"[" * 100_000, "nested", None),
        ("a.json", b'{"a":\n"\\ud800x"}', "half a character", 2),
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "no JSON", 2),
        ("a.jsonl", b'{"a": "x\\ud800"}\n', "half a character", 1),
        ("a.json", b'{"ann@example.com": 1}', "name tells", None),
        ("a.pdf", b"%PDF", "no reader", None),
        ("LICENSE", b"x", "without an ending", None),
    ],
)
def test_an_unreadable_text_file_is_refused_with_its_line(
    cleaner: Cleaner, name: str, data: bytes, message: str, line: int | None
):
    with pytest.raises(Refused, match=message) as refused:
        cleaned(cleaner, name, data)
    assert refused.value.line == line


PARTS = [IBAN, CARD, MAIL, "DE89 3704 0044 0532 0130 00", "Mr. Bean", "<PERSON_1>", "+49 170 1234567"]
SIGNS = ["password: hunter2!!", "x", " ", "é", "\U0001f600", '"', "\\", "0", "\u200b", "/", "\n"]
WORDS = st.sampled_from(PARTS + SIGNS)
TEXTS = st.lists(WORDS, max_size=6).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


def shape(value: Any) -> Any:
    """Keys, lengths and types of a value. Texts and numbers count as the same type."""
    if isinstance(value, dict):
        return {key: shape(nested) for key, nested in value.items()}
    if isinstance(value, list):
        return [shape(nested) for nested in value]
    return "value" if isinstance(value, str | int | float) and not isinstance(value, bool) else value


@given(VALUES, st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_structure_of_json_is_preserved_and_a_second_run_finds_nothing(
    cleaner: Cleaner, value: Any, plain: bool
):
    output = cleaned(cleaner, "a.json", json.dumps(value, ensure_ascii=plain).encode())
    assert shape(json.loads(output)) == shape(value)
    assert cleaned(cleaner, "a.json", output) == output


@given(TEXTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_second_run_over_a_cleaned_text_finds_nothing(cleaner: Cleaner, text: str):
    output = cleaned(cleaner, "a.txt", text.encode())
    assert cleaned(cleaner, "a.txt", output) == output
