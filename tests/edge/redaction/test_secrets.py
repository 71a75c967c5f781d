"""Secrets are found by their format or by the words beside them; ordinary words are not."""

from __future__ import annotations

import pytest

from edge.redaction import Detector
from tests.edge.redaction.conftest import Seen

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"
# Built at runtime, so that secret scanners of repositories do not report them.
TOKENS = [
    "AKIA" + "QWERTZUIOPASDFGH",
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2c" * 13,
    "glpat-" + "x9Yz" * 5,
    "xoxb-" + "123456789012-abcdefABCDEF",
    "sk_live_" + "a1B2" * 6,
    "sk-ant-api03-" + "a1B2c3" * 6,
    "AIza" + "a1B2c3d" * 5,
    "hf_" + "abcDEF" * 6,
    "npm_" + "a1B2" * 9,
    "isk_" + "a1B2" * 10,
    "isr_" + "a1B2" * 10,
    "eyJ" + "hbGciOiJI" + ".eyJ" + "zdWIiOiIx" + ".c2ln",
]


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_is_found_by_its_format(find: Seen, token: str):
    assert find(f'set it to "{token}", then go on') == [("SECRET", token)]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("password: hunter2!", "hunter2!"),
        ("Das Passwort lautet Xk9#mm2p, bitte merken", "Xk9#mm2p"),
        ("le mot de passe est Xk9#mm2p", "Xk9#mm2p"),
        ('"api_key": "00aa11bb22cc33"', "00aa11bb22cc33"),
        ("export DB_PASSWORD=s3cr3tvalue", "s3cr3tvalue"),
        ("client secret: s3cr3tvalue", "s3cr3tvalue"),
        ("postgres://app:pa55word@db/x", "pa55word"),
        ("Authorization: Bearer abcDEF123456abcDEF123456", "abcDEF123456abcDEF123456"),
    ],
)
def test_a_secret_is_found_by_the_words_beside_it(find: Seen, text: str, secret: str):
    assert ("SECRET", secret) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "The password is required.",
        "Your password is expired, reset it",
        "password: <password>",
        "the token bearer said hello to all",
    ],
)
def test_a_sentence_about_passwords_is_not_a_secret(find: Seen, text: str):
    assert find(text) == []


def test_a_private_key_is_hidden_from_its_first_line_to_its_last(find: Seen):
    assert find(f"a\n{KEY}\nb") == [("SECRET", KEY)]


def test_a_truncated_private_key_is_hidden_to_the_end_of_the_text(find: Seen):
    assert find("a\n" + KEY[:50]) == [("SECRET", KEY[:50])]


def test_a_card_security_code_is_hidden(find: Seen):
    assert ("CARD_CODE", "123") in find("CVV: 123")


BEHIND_LETTERS = [
    ("x{}", "sk-proj-" + "a1B2c3D4" * 6),
    ("key{}", "ghp_" + "a1B2" * 9),
    ("key{}", "AKIA" + "QWERTZUIOPASDFGH"),
    ("Token{}", "isk_" + "a1B2" * 10),
    ("9{}", "glpat-" + "x9Yz" * 5),
    ("x{}", "xoxb-" + "123456789012-abcdefABCDEF"),
]


@pytest.mark.parametrize(("prefix", "token"), BEHIND_LETTERS)
def test_a_token_directly_after_a_word_is_found(find: Seen, prefix: str, token: str):
    assert find(f"Set {prefix.format(token)}, then go on") == [("SECRET", token)]


@pytest.mark.parametrize(("prefix", "token"), BEHIND_LETTERS)
def test_a_token_directly_after_a_word_is_hidden_in_a_stream_cut_anywhere(
    patterns: Detector, prefix: str, token: str
):
    from tests.edge.redaction.test_streaming import assert_hidden_at_every_cut

    assert_hidden_at_every_cut(patterns, prefix.format(token))


@pytest.mark.parametrize(
    "text",
    [
        "a risk-averse-investor-should-diversify-holdings",
        "task-admin-dashboard-redesign-2024-final",
        "risk_assessment_for_the_year_2024_v2",
        "disk-proj-migration-of-all-the-servers-2024",
        "shelf_abcdefghijklmnopqrstuvwxyzabcdefgh",
        "Task-2024-Q3-Budget-V2-Final-Draft-For-The-Board",
    ],
)
def test_words_that_end_like_the_start_of_a_token_are_not_tokens(find: Seen, text: str):
    assert find(text) == []
