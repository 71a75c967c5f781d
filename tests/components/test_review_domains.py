"""Deadlines in working time: the gateway and the review service get the same domains."""

from __future__ import annotations

from typing import Any

import pytest

from edge.config import GatewayConfig, ReviewsConfig
from edge.config import check as read_by_the_edge
from tests.components.conftest import Engine, build
from tests.components.platforms import reviewed
from tests.components.test_chat import config_of
from tests.components.test_review_desk import DESK, NAME, with_desk

pytestmark = pytest.mark.whole

GATEWAY = "isthmus-fra1-confidential-gateway"
DOMAIN: dict[str, Any] = {
    "name": "onboarding",
    "hours": {
        "time_zone": "Europe/Berlin",
        "days": {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")},
    },
    "holidays": {"country": "DE", "subdivision": "HE", "dates": ["2026-12-24"]},
    **{"decide_h": 8, "remind_h": 2},
    "escalation": [{"to": "seniors", "decide_h": 4, "remind_h": 1}, {"to": "head-of-kyc", "decide_h": 4}],
}


def test_the_edge_reads_the_same_domains_at_the_gateway_and_at_the_review_service(
    engine: Engine, platform: dict[str, Any], tmp_path: Any
) -> None:
    build(engine, reviewed(platform, domains=[DOMAIN]))
    gateway = read_by_the_edge(config_of(engine, GATEWAY), tmp_path)
    service = read_by_the_edge(config_of(engine, NAME), tmp_path)
    assert isinstance(gateway, GatewayConfig)
    assert isinstance(service, ReviewsConfig)
    assert gateway.reviews is not None
    assert gateway.reviews.domains == service.domains
    (domain,) = service.domains
    assert [(to, worked.total_seconds() / 3600) for to, worked, _ in domain.steps] == [
        *(("group", 8), ("seniors", 4), ("head-of-kyc", 4)),
    ]
    assert [str(day) for day in domain.holidays.dates] == ["2026-12-24"]


def test_a_platform_without_domains_keeps_the_configurations_as_they_were(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, reviewed(platform))
    assert "domains" not in config_of(engine, NAME)
    assert not {"domains", "cases"} & config_of(engine, GATEWAY)["reviews"].keys()


def test_the_gateway_gets_the_legal_basis_of_cases_as_the_platform_states_it(
    engine: Engine, platform: dict[str, Any], tmp_path: Any
) -> None:
    cases = {"legal_basis": "consent", "notice": {"en": "Reviewers read it."}, "appeal_days": 21}
    build(engine, reviewed(platform, cases=cases))
    gateway = read_by_the_edge(config_of(engine, GATEWAY), tmp_path)
    assert isinstance(gateway, GatewayConfig)
    assert gateway.reviews is not None
    assert gateway.reviews.cases.model_dump() == cases
    assert "cases" not in config_of(engine, NAME)


def test_the_desk_and_the_proxy_of_its_sign_on_end_a_session_at_the_same_time(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, with_desk(platform, max_session_s=3600))
    assert config_of(engine, NAME)["desk"]["max_session_s"] == 3600
    (sign_on,) = engine.pods()["confidential-reviews-sign-on"]["containers"]
    assert "--cookie-expire=3600s" in sign_on["args"]


def test_a_session_is_of_eight_hours_unless_stated(engine: Engine, platform: dict[str, Any]) -> None:
    assert "max_session_s" not in DESK
    build(engine, with_desk(platform))
    assert config_of(engine, NAME)["desk"]["max_session_s"] == 8 * 3600
    (sign_on,) = engine.pods()["confidential-reviews-sign-on"]["containers"]
    assert "--cookie-expire=28800s" in sign_on["args"]
