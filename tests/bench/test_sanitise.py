"""What the throughput is measured on."""

from __future__ import annotations

from bench.redaction import templates
from bench.sanitise import SENTENCES_PER_DOCUMENT, documents


def test_documents_are_of_every_language_and_no_two_are_alike():
    documents_of = documents(50)
    assert set(documents_of) == set(templates.HELD_OUT)
    all_documents = [text for texts in documents_of.values() for text in texts]
    assert len(all_documents) == len(set(all_documents)) == 50
    assert all(text.count(" ") > SENTENCES_PER_DOCUMENT for text in all_documents)
