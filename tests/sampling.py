"""A share of a long row of cases for `make test`; `make soak` takes all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings


def sampled(cases: Iterable[Any], step: int = 2, first: int = 0) -> list[Any]:
    """One case of every `step`, from the case `first` on; the others are marked for the soak.

    A case is an argument, or a tuple of them. Tests over the same cases begin at different ones, so that each case is
    seen by some test.
    """
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=() if (number - first) % step == 0 else pytest.mark.soak,
        )
        for number, case in enumerate(cases)
    ]


def fewer(divisor: int, parent: settings) -> settings:
    """Settings of a property whose every example is expensive: so much less of them, but for the soak."""
    usual = settings().max_examples
    return settings(parent, max_examples=usual if usual > 100 else max(5, usual // divisor))
