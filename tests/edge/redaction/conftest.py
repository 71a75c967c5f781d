"""Fixture: one detector with patterns only, shared by all of these tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.redaction import Detector, Rules

Seen = Callable[[str], list[tuple[str, str]]]


@pytest.fixture(scope="session")
def patterns() -> Detector:
    return Detector(Rules())


@pytest.fixture(scope="session")
def find(patterns: Detector) -> Seen:
    """Finds the entities of a text, with the matched words."""
    return lambda text: [
        (finding.entity, text[finding.start : finding.end]) for finding in patterns.detect(text).findings
    ]
