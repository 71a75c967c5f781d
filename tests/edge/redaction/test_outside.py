"""Identifiers in third-party sentences: templates of presidio-evaluator with values of Faker."""

from __future__ import annotations

import pytest

from bench.redaction import outside

pytestmark = pytest.mark.service


def test_at_least_97_percent_of_every_kind_of_identifier_are_hidden_with_few_false_findings():
    corpus = outside.sentences(seed=7, count=780)
    measured = outside.quality(corpus)
    shares = {entity: measured.hidden[entity] / total for entity, total in measured.labels.items()}
    assert min(measured.labels.values()) > 90
    assert {entity: share for entity, share in shares.items() if share < 0.97} == {}
    wrong = [false_alarm for false_alarm in measured.false_alarms if false_alarm[0] in shares]
    assert len(wrong) < 0.02 * sum(measured.labels.values()), wrong
