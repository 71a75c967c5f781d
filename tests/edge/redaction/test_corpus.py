"""The corpus of labelled sentences: reproducible, and separate from the sentences used in development."""

from __future__ import annotations

from bench.redaction import templates
from bench.redaction.corpus import Sentence, sentences
from bench.redaction.quality import measure, wilson
from bench.redaction.values import WITH_CHECKSUM
from edge.redaction import Detector


def test_a_seed_gives_the_same_sentences_and_another_seed_different_ones():
    first, again, other_seed = (list(sentences(seed=seed, per_language=3)) for seed in (1, 1, 2))
    assert first == again != other_seed
    assert all(sentence.text[start:end] for sentence in first for start, end, _ in sentence.spans)


def test_the_corpus_has_1500_sentences_and_no_template_is_both_developed_and_held_out():
    assert sum(1 for _ in sentences()) >= 1_500
    for language, held_out in templates.HELD_OUT.items():
        developed = templates.sentences_of(templates.DEVELOPED, language)
        assert not {*held_out.strip().splitlines()} & {*developed}


def test_every_number_with_a_check_digit_in_held_out_sentences_is_found(patterns: Detector):
    corpus = list(sentences(seed=7, per_language=60))
    quality = measure(corpus, _by(patterns), WITH_CHECKSUM)
    assert sum(quality.labels[entity] for entity in WITH_CHECKSUM) > 100
    assert [missed for missed in quality.missed if missed[0] in WITH_CHECKSUM] == []


def test_a_partly_hidden_iban_counts_as_a_leak():
    sentence = Sentence("en", "to DE89370400440532013000", ((3, 25, "IBAN_CODE"),))
    assert measure([sentence], lambda *_: [(3, 14, "IBAN_CODE")]).hidden["IBAN_CODE"] == 0
    assert measure([sentence], lambda *_: [(3, 25, "OTHER")]).hidden["IBAN_CODE"] == 1


def test_the_confidence_interval_is_the_wilson_interval():
    low, high = wilson(95, 100)
    assert (round(low, 3), round(high, 3)) == (0.888, 0.978)


def _by(detector: Detector):
    return lambda text, language: [
        (x.start, x.end, x.entity) for x in detector.detect(text, [language]).findings
    ]
