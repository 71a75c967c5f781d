"""Domains with deadlines in working time in the platform: what they need, and which changes weaken them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.deciding_fields import decides
from isthmus.core.errors import InputError
from tests.contracts.bank import refused
from tests.contracts.test_platform_reviews import data as reviewed

Change = Callable[[dict[str, Any]], object]


def data() -> dict[str, Any]:
    """The bank, whose restricted answers of domain crime have deadlines in working time."""
    platform = reviewed()
    platform["gateways"][0]["reviews"] |= {
        "domains": [
            {
                "name": "crime",
                "hours": {
                    "time_zone": "Europe/Berlin",
                    "days": {"mon": ["09:00-17:00"], "tue": ["09:00-17:00"]},
                },
                "holidays": {"country": "DE", "subdivision": "HE", "dates": ["2026-12-24"]},
                **{"decide_h": 4, "remind_h": 1, "escalation": [{"to": "seniors", "decide_h": 2}]},
            }
        ]
    }
    return platform


def domain(data: dict[str, Any]) -> dict[str, Any]:
    return data["gateways"][0]["reviews"]["domains"][0]


def test_a_platform_states_working_hours_holidays_and_escalation() -> None:
    checked = overrides.validate(data()).gateways[0].reviews
    assert checked is not None
    (stated,) = checked.domains
    assert (stated.name, stated.decide_h, stated.holidays.subdivision) == ("crime", 4, "HE")
    assert [step.to for step in stated.escalation] == ["seniors"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: domain(d).update(name="claims"),
            "reviews.domains: gateway restricted-fra1 has no domain `claims`. Fix: Use one of: crime.",
        ),
        (
            lambda d: d["gateways"][0]["reviews"]["domains"].append(domain(d)),
            "domain `crime` is there twice",
        ),
        (
            lambda d: domain(d)["hours"].update(time_zone="Europe/Frankfurt"),
            "hours.time_zone: 'Europe/Frankfurt' is not a time zone. Fix: Write it like Europe/Berlin.",
        ),
        (
            lambda d: domain(d)["holidays"].update(country="XX"),
            "there is no calendar of holidays for 'XX'. Fix: Use an ISO 3166-1 code",
        ),
        (lambda d: domain(d)["holidays"].update(subdivision="TX"), "'TX' is not one of DE"),
        (
            lambda d: domain(d).update(remind_h=4),
            "domains[crime]: remind_h is 4, but must be less than decide_h (4). Fix: Lower or remove it.",
        ),
        (lambda d: domain(d).update(escalation=[]), "must have at least 1"),
        (
            lambda d: domain(d).update(decide_h=20),
            (
                "reviews.keep_days: an answer of 'crime' can wait 310 h, and keep_days is 7. "
                "Fix: Set keep_days to 14 or more, or shorten its steps."
            ),
        ),
    ],
)
def test_a_domain_that_cannot_work_is_refused_with_its_place_and_a_fix(change: Change, message: str) -> None:
    assert message in refused(InputError, change, data())


def test_an_invalid_domain_is_named_beside_other_faults_of_the_platform() -> None:
    def break_both(d: dict[str, Any]) -> None:
        domain(d).update(remind_h=9)
        d["gateways"][0]["colour"] = "red"

    text = refused(InputError, break_both, data())
    assert "remind_h is 9" in text
    assert "unknown key `colour`" in text


@pytest.mark.parametrize("step", ["", "escalation."])
def test_longer_deadlines_and_later_reminders_weaken_and_shorter_ones_do_not(step: str) -> None:
    at = f"gateways.reviews.domains.{step}"
    assert decides(at + "decide_h", 4, 8)
    assert not decides(at + "decide_h", 8, 4)
    assert decides(at + "remind_h", 2, 1)
    assert decides(at + "remind_h", 2, None)
    assert not decides(at + "remind_h", None, 2)


def test_other_working_hours_or_a_step_less_are_shown_to_people() -> None:
    at = "gateways.reviews.domains."
    assert decides(at + "hours.days", {"mon": ["09:00-17:00"]}, {"mon": ["09:00-12:00"]})
    assert decides(at + "escalation.to", "seniors", None)
