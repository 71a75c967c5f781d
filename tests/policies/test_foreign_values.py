"""A foreign value of the platform is refused unless a valid entry of the trust file vouches for it."""

from __future__ import annotations

from datetime import date

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.findings import Finding
from isthmus.contracts.trust import Trust
from policies.evaluation.evaluation import blocking_findings, judge
from tests.blueprints import bank

TODAY = date(2026, 11, 29)
EVIL = "52.94.0.0/16"


@pytest.fixture
def opened() -> Platform:
    """The bank whose on-prem site claims a range of AWS's as its own."""
    platform = bank.platform()
    site = platform.sites[0].model_copy(update={"cidrs": [EVIL]})
    return platform.model_copy(update={"sites": [site, *platform.sites[1:]]})


def trusting(value: str, expires: str | None = None) -> Settings:
    entry = {"value": value, "reason": "leased", "owner": "network team", "expires": expires}
    return Settings(trust=Trust.model_validate({"address_ranges": [entry]}))


def findings(platform: Platform | None, settings: Settings | None = None) -> list[Finding]:
    return [
        finding
        for finding in judge([], platform, settings, today=TODAY)
        if finding.policy.startswith("trust/")
    ]


def test_a_foreign_range_is_critical_and_says_what_would_open(opened: Platform):
    (finding,) = findings(opened)
    assert (finding.policy, finding.severity) == ("trust/foreign-values", "critical")
    assert finding.message == (
        "`52.94.0.0/16` in sites[fra1].cidrs[0] is a range of public addresses, and `address_ranges` of trust.yaml has"
        " no valid entry for it; network policies, security groups or a VPN of classified work would open to it"
    )
    assert blocking_findings([finding])


def test_an_entry_of_the_trust_file_vouches_for_it(opened: Platform):
    assert findings(opened, trusting("52.88.0.0/13")) == []
    assert [finding.policy for finding in findings(opened, trusting("52.95.0.0/16"))] == [
        "trust/foreign-values"
    ]


def test_an_expired_entry_vouches_for_nothing_and_is_named(opened: Platform):
    assert findings(opened, trusting(EVIL, "2026-11-29")) == []
    expired = findings(opened, trusting(EVIL, "2026-11-28"))
    assert [finding.policy for finding in expired] == ["trust/foreign-values", "trust/expired-entries"]
    assert expired[1].message == (
        "trust.yaml: address_ranges `52.94.0.0/16`, for which network team answers, expired on 2026-11-28"
    )


def test_the_bank_and_a_program_without_a_platform_need_no_trust_file():
    assert findings(bank.platform()) == []
    assert findings(None) == []
