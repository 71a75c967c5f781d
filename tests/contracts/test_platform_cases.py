"""Cases of people in the platform: their legal basis, what people read first, and appeals."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.deciding_fields import decides
from isthmus.core.errors import InputError
from tests.contracts.bank import refused
from tests.contracts.test_platform_reviews import data as reviewed

CASES: dict[str, Any] = {
    "legal_basis": "legitimate-interests",
    "notice": {"en": "Reviewers read what you send."},
    "appeal_days": 30,
}


def data(**changes: Any) -> dict[str, Any]:
    """The bank, with changed cases at its restricted gateway."""
    platform = reviewed()
    cases = {key: value for key, value in {**CASES, **changes}.items() if value is not None}
    platform["gateways"][0]["reviews"]["cases"] = cases
    return platform


def test_a_platform_states_the_legal_basis_of_cases() -> None:
    checked = overrides.validate(data()).gateways[0].reviews
    assert checked is not None
    assert checked.cases is not None
    assert checked.cases.model_dump() == CASES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"notice": None}, "legal_basis has no notice. Fix: Set notice"),
        ({"legal_basis": None}, "notice has no legal_basis. Fix: Set legal_basis"),
        ({"legal_basis": "interest"}, "legal_basis"),
        ({"appeal_days": 400}, "appeal_days"),
        ({"notice": {"fr": "On lit."}}, "notice"),
    ],
)
def test_what_cannot_be_a_legal_basis_is_refused(changes: dict[str, Any], message: str) -> None:
    assert message in refused(InputError, lambda platform: None, data(**changes))


@pytest.mark.parametrize(
    ("field", "old", "new", "looser"),
    [
        ("appeal_days", 14, 7, True),
        ("appeal_days", 14, 30, False),
        ("legal_basis", "consent", "legitimate-interests", True),
        ("notice.en", "Reviewers read it.", "Read.", True),
    ],
)
def test_isthmus_ci_shows_shorter_appeals_and_another_basis(
    field: str, old: Any, new: Any, looser: bool
) -> None:
    assert decides(f"gateways.reviews.cases.{field}", old, new) is looser
