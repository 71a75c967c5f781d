"""What the throughput is measured on."""

from __future__ import annotations

from bench.redaction import templates
from bench.sanitise import SENTENCES_PER_DOCUMENT, documents


def test_documents_are_of_every_language_and_no_two_are_alike():
    made = documents(50)
    assert set(made) == set(templates.HELD_OUT)
    every = [text for texts in made.values() for text in texts]
    assert len(every) == len(set(every)) == 50
    assert all(text.count(" ") > SENTENCES_PER_DOCUMENT for text in every)
