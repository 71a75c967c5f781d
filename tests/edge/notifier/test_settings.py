"""Settings of deadlines and of the notifier: as documented, and refused where they cannot be kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from edge.config import ConfigError, NotifierConfig, check
from edge.notifier.on_call import OnCall
from edge.review_domains import ReviewDomain
from tests.edge.processes import ROOT
from tests.edge.reviews.test_settings import documented as documented_reviews
from tests.edge.reviews.test_settings import gateway
from tests.edge.test_config import FILE

TEXT = (ROOT / "docs/deadlines.md").read_text()


def blocks() -> list[dict[str, Any]]:
    return [
        YAML(typ="safe", pure=True).load(block)
        for block in re.findall(r"^```yaml\n(.*?)^```", TEXT, re.M | re.S)
    ]


def documented() -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """The domains, the notifier's file and the calendar of docs/deadlines.md."""
    (domains,) = (block["domains"] for block in blocks() if "domains" in block)
    (notifier,) = (block for block in blocks() if block.get("mode") == "notifier")
    (calendar,) = (block for block in blocks() if "rotation" in block)
    return domains, notifier, calendar


def domain(**changes: Any) -> dict[str, Any]:
    return {**documented()[0][0], **changes}


def test_the_documented_files_are_accepted():
    domains, notifier, calendar = documented()
    check(gateway(domains=domains), FILE)
    check({**documented_reviews()[1], "domains": domains}, FILE)
    assert isinstance(check(notifier, FILE), NotifierConfig)
    OnCall.model_validate(calendar)


HOURS = documented()[0][0]["hours"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hours": {**HOURS, "time_zone": "Frankfurt"}}, "'Frankfurt' is not a time zone"),
        ({"hours": {**HOURS, "days": {"mon": ["17:00-09:00"]}}}, "is not a period of a day"),
        ({"hours": {**HOURS, "days": {"mon": ["09:00-12:00", "11:00-17:00"]}}}, "must follow each other"),
        ({"hours": {**HOURS, "days": {}}}, "at least 1 item"),
        ({"holidays": {"country": "XX"}}, "no calendar of holidays for 'XX'"),
        ({"holidays": {"country": "DE", "subdivision": "TX"}}, "'TX' is not one of DE"),
        ({"holidays": {"subdivision": "HE"}}, "subdivision needs country"),
        ({"remind_h": 8}, "remind_h is 8, but must be less than decide_h (8)"),
        ({"escalation": []}, "at least 1 item"),
        ({"escalation": [{"to": "group", "decide_h": 1}]}, "'group' is the domain's own reviewers"),
        ({"decide_h": 80}, "can wait"),
        ({"hours": {**HOURS, "days": {"mon": ["09:00-10:00"]}}}, "keep_days to"),
    ],
)
def test_a_domain_whose_deadlines_cannot_be_kept_is_refused(change: dict[str, Any], says: str):
    with pytest.raises(ConfigError, match=re.escape(says)):
        check(gateway(domains=[domain(**change)], keep_days=14), FILE)


def test_the_longest_wait_of_a_domain_includes_weekends():
    office = domain(decide_h=8, remind_h=None, escalation=[{"to": "seniors", "decide_h": 8}])
    office["hours"] = {"time_zone": "Europe/Berlin", "days": {day: ["09:00-17:00"] for day in ("thu", "fri")}}
    # From Friday 17:00 over Thursday until Friday 17:00.
    assert ReviewDomain.model_validate(office).longest().days == 7


def test_two_domains_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two have the same name"):
        check(gateway(domains=[domain(), domain()]), FILE)
    with pytest.raises(ConfigError, match="two have the same name"):
        check({**documented_reviews()[1], "domains": [domain(), domain()]}, FILE)


def notifier(mail: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    config = documented()[1]
    if mail is not None:
        config["targets"][0]["mail"] = {**config["targets"][0]["mail"], **mail}
    return {**config, **changes}


SLACK = {"name": "chat", "service": "slack", "url": "/etc/isthmus/slack"}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (notifier(targets=[SLACK], default=["chat"], routes=[]), "must be a mail relay at the site"),
        (notifier({"address": None}), "must name the address of a mail relay within networks"),
        (notifier({"address": "10.99.0.1"}), "Found '10.99.0.1'"),
        (notifier({"address": None, "relay": "8.8.8.8"}), "Found '8.8.8.8'"),
        (notifier(networks=[]), "within networks"),
        (notifier({"tls": "none"}), "tls: none is for a relay on loopback only"),
        (notifier({"user": "isthmus"}), "user and password go together"),
        (notifier(link="http://desk.bank.example/"), "link must be https"),
        (notifier(default=["nobody"]), "default: there is no target 'nobody'"),
        (notifier(routes=[{"domain": "payments", "targets": ["x"]}]), "routes: there is no target 'x'"),
        (
            notifier(routes=[{"domain": "payments", "targets": ["payments-desk"]}] * 2),
            "routes: two have the same domain and to",
        ),
        (notifier(targets=[{"name": "payments-desk"}]), "state exactly one of mail, service and on_call"),
        (
            notifier(database={**documented()[1]["database"], "host": "x.rds.amazonaws.com"}),
            "'x.rds.amazonaws.com' is a cloud host",
        ),
    ],
)
def test_a_notifier_that_could_tell_others_is_refused(config: dict[str, Any], says: str):
    with pytest.raises(ConfigError, match=re.escape(says)):
        check(config, Path("notifier.yaml"))


def test_another_class_may_name_services():
    config = {**notifier(targets=[SLACK], default=["chat"], routes=[]), "class": "confidential"}
    assert isinstance(check(config, FILE), NotifierConfig)
