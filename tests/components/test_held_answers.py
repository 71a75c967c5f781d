"""Held answers at a gateway: the volume of their keys."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.gateway.held_answers import HeldAnswers
from isthmus.core.errors import InputError


def hold(reviews: dict[str, Any], audit: dict[str, Any]) -> HeldAnswers:
    args = {"routes": [], "database": {"host": "db"}, "audit": audit, "reviews": reviews}
    return HeldAnswers("g", "gateway", "isthmus-confidential", {}, args, pulumi.ResourceOptions())


@pytest.mark.parametrize(
    ("reviews", "audit", "message"),
    [
        ({}, {}, "no volume is set for the keys of held answers"),
        (
            {"gateway_keys_volume": "keys"},
            {"content": {"volume": "content"}},
            "gateway_keys_volume is set, but",
        ),
    ],
)
def test_held_answers_need_exactly_one_volume_for_their_keys(
    reviews: dict[str, Any], audit: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        hold(reviews, audit)


def test_held_answers_use_the_keys_volume_of_kept_content() -> None:
    held = hold({"decide_h": 12}, {"content": {"volume": "content"}})
    assert held.mounts == held.volumes == []
    assert held.section["reviews"]["decide_h"] == 12
