"""Mail addresses that are spelt out are found; the word `at` in prose is not taken for one."""

from __future__ import annotations

import pytest

from edge.redaction import Detector
from tests.edge.redaction.conftest import Seen
from tests.edge.redaction.test_streaming import assert_hidden_at_every_cut

MAILS = [
    "ann(at)example.com", "ann (at) example.com", "ann[at]example.com", "ann [at] example [dot] com",
    "ann(AT)mail.example.org", "ann{at}example.com", "ann.smith (at) example (dot) com", "ann @ example.com",
    "ann@ example.com", "ann.smith at gmail.com", "ann1985 at web.de",
]  # fmt: skip


@pytest.mark.parametrize("mail", MAILS)
@pytest.mark.parametrize("sentence", ["Write to {}, please.", "Kontakt: {}\nDanke"])
def test_a_spelt_out_mail_address_is_found(find: Seen, mail: str, sentence: str):
    assert find(sentence.format(mail)) == [("EMAIL_ADDRESS", mail)]


@pytest.mark.parametrize("label", ["E-mail: {}", "Send an email to {} today", "My email address is {}."])
def test_a_label_like_email_makes_at_part_of_a_mail_address(find: Seen, label: str):
    assert find(label.format("ann at example.com")) == [("EMAIL_ADDRESS", "ann at example.com")]


@pytest.mark.parametrize(
    "text", [*MAILS, "E-mail: ann at example.com", "an email to ann at mail.example.org"]
)
def test_a_spelt_out_address_is_hidden_in_a_stream_that_is_cut_anywhere(patterns: Detector, text: str):
    assert_hidden_at_every_cut(patterns, text)


@pytest.mark.parametrize(
    "text",
    [
        "Meet me at example.com", "We found it at booking.com, then at 5 pm.", "Look at github.com/isthmus",
        "Node.js at nodejs.org", "3 items @ 4.50", "follow @name.bsky.social", "sign in at outlook.com",
        "items[at].value", "Our email is hosted at example.com", "account at gmail.com", "e.g. at gmail.com",
        "Contact us at example.com", "lunch @ noon", "@media (min-width: 3px)", "user @ host",
        "Speaker @ example.com", "live @ example.com", "an email to us at example.com",
    ],
)  # fmt: skip
def test_the_word_at_in_prose_is_not_a_mail_address(find: Seen, text: str):
    assert find(text) == []
