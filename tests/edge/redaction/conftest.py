"""One detector by patterns alone, for all of these tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.redaction import Detector, Rules

Seen = Callable[[str], list[tuple[str, str]]]


@pytest.fixture(scope="session")
def patterns() -> Detector:
    return Detector(Rules())


@pytest.fixture(scope="session")
def seen(patterns: Detector) -> Seen:
    """What is found of a text: entity and words."""
    return lambda text: [(one.entity, text[one.start : one.end]) for one in patterns.detect(text).findings]
