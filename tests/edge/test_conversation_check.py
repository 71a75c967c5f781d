"""The conversation of a case is compared with the record of the person's own requests."""

from __future__ import annotations

import pytest

from edge.audit.content import Hmacs
from edge.conversation_check import RecordedRequest, check_conversation

KEY = bytes(range(32))
HMACS = Hmacs(KEY)
FIRST, SECOND, OTHERS = "1" * 32, "2" * 32, "3" * 32


def recorded(request_id: str, question: str | None, *answers: str) -> RecordedRequest:
    asked = None if question is None else HMACS.question(request_id, {"prompt": question})
    return RecordedRequest(request_id, asked, HMACS.answers(request_id, answers))


OWN = [recorded(SECOND, "And tomorrow?", "Rain."), recorded(FIRST, "What is the weather?", "Sun.")]


def marks(*texts: str, requests: list[RecordedRequest] | None = None, about: str = SECOND) -> list[str]:
    """Marks of a conversation; its texts are of the person and the model in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]
    return list(check_conversation(KEY, messages, OWN if requests is None else requests, about))


def test_what_was_asked_and_answered_matches():
    assert marks("What is the weather?", "Sun.", "And tomorrow?", "Rain.") == ["matches"] * 4
    assert marks("And tomorrow?", " Rain.\n") == ["matches"] * 2, "white space at the ends does not count"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("And tomorrow?", "Snow."), ["matches", "differs"]),
        (("And on Monday?", "Rain."), ["differs", "matches"]),
        (("And tomorrow?", "Sun."), ["matches", "differs"]),
        (
            ("What is the weather?", "Storm.", "And tomorrow?", "Rain."),
            ["matches", "differs", "matches", "matches"],
        ),
        (
            ("Is it hot?", "Sun.", "And tomorrow?", "Rain."),
            ["differs", "matches", "matches", "matches"],
        ),
        (
            ("Is it hot?", "Yes.", "And tomorrow?", "Rain."),
            ["not-on-record", "not-on-record", "matches", "matches"],
        ),
    ],
)
def test_a_changed_turn_differs_and_an_invented_one_is_not_on_record(
    texts: tuple[str, ...], expected: list[str]
):
    assert marks(*texts) == expected


def test_an_answer_of_another_request_is_not_the_one_that_the_case_is_about():
    assert marks("What is the weather?", "Sun.") == ["differs", "differs"]
    assert marks("What is the weather?", "Sun.", about=FIRST) == ["matches", "matches"]


def test_a_request_without_hmacs_is_not_on_record():
    old = [RecordedRequest(SECOND, None, [])]
    assert marks("And tomorrow?", "Rain.", requests=old) == ["not-on-record"] * 2


def test_anothers_text_is_not_on_record_even_word_for_word():
    theirs = recorded(OTHERS, "Who is dismissed?", "Mr Muster.")
    assert marks("Who is dismissed?", "Mr Muster.", "And tomorrow?", "Rain.")[:2] == ["not-on-record"] * 2
    copied = [*OWN, RecordedRequest(FIRST, theirs.question, theirs.answers)]
    conversation = ("Who is dismissed?", "Mr Muster.", "And tomorrow?", "Rain.")
    assert marks(*conversation, requests=copied)[:2] == ["not-on-record"] * 2, "an HMAC is of one request"


def test_texts_of_the_application_and_questions_without_an_answer_have_marks_too():
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "And tomorrow?"},
        {"role": "assistant", "content": "Rain."},
        {"role": "user", "content": "What is the weather?"},
        {"role": "user", "content": "Hello?"},
    ]
    assert check_conversation(KEY, messages, OWN, SECOND) == [
        "not-on-record",
        "matches",
        "matches",
        "matches",
        "not-on-record",
    ]
