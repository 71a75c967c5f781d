"""The notifier in the platform: what it needs, whom it may reach, and what of it people approve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.blueprints import image_digests
from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.deciding_fields import decides
from isthmus.contracts.platform.lookups.notifier import exits_of, link_of, webhook_of
from isthmus.contracts.platform.stated_values import stated_values
from isthmus.core.errors import InputError, Refused
from tests.contracts.bank import refused
from tests.contracts.test_platform_deadlines import data as with_deadlines
from tests.contracts.test_platform_desk import data as with_desk

Change = Callable[[dict[str, Any]], object]
CALENDAR = """time_zone: Europe/Berlin
rotation: {from: 2026-12-07T09:00:00, days: 7, targets: [desk]}
"""
MAIL: dict[str, Any] = {
    **{"relay": "smtp.bank.example", "address": "10.40.0.25"},
    **{"sender": "isthmus@bank.example", "to": ["desk@bank.example"]},
}
SLACK: dict[str, Any] = {
    **{"kind": "slack", "host": "hooks.slack.com", "address": "203.0.113.10", "secret": "slack"},
}
NOTIFIER: dict[str, Any] = {
    **{"secret": "notifier", "link": "https://reviews.bank.example", "default": ["desk"]},
    "targets": [{"name": "desk", "mail": MAIL}, {"name": "on-call", "on_call": {"text": CALENDAR}}],
    "routes": [{"domain": "crime", "to": "seniors", "targets": ["on-call"]}],
}


def data() -> dict[str, Any]:
    """The bank, which tells people of restricted answers by mail."""
    platform = overrides.merge(with_deadlines(), {})
    platform["images"]["notifier"] = platform["images"]["edge"]
    platform["gateways"][0]["reviews"]["notifier"] = overrides.merge(NOTIFIER, {})
    return platform


def notifier(data: dict[str, Any]) -> dict[str, Any]:
    return data["gateways"][0]["reviews"]["notifier"]


def target(data: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return notifier(data)["targets"][at]


def test_a_platform_states_whom_the_notifier_tells_and_what_it_reaches() -> None:
    gateway = overrides.validate(data()).gateways[0]
    assert exits_of(gateway) == [("smtp.bank.example", "10.40.0.25", 587)]
    assert link_of(gateway) == "https://reviews.bank.example"


def test_the_link_is_the_desks_address_unless_another_is_stated() -> None:
    platform = with_desk()
    platform["images"]["notifier"] = platform["images"]["edge"]
    platform["gateways"][0]["reviews"]["notifier"] = {
        key: value for key, value in NOTIFIER.items() if key != "link"
    }
    assert link_of(overrides.validate(platform).gateways[0]) == "https://reviews.bank.example"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["images"].pop("notifier"), "images.notifier: a notifier needs the image"),
        (lambda d: notifier(d).pop("link"), "notifier.link: the notifier of gateway restricted-fra1"),
        (lambda d: notifier(d).update(link="http://reviews"), "link must be https://host"),
        (lambda d: notifier(d).update(default=["pager"]), "default: there is no target 'pager'"),
        (lambda d: notifier(d)["routes"][0].update(domain="claims"), "has no domain `claims`"),
        (lambda d: notifier(d)["targets"].append(target(d)), "target `desk` is there twice"),
        (lambda d: target(d)["mail"].update(user="isthmus"), "`user` and `secret` of a mail relay go"),
        (lambda d: target(d)["mail"].update(tls="none"), "targets[desk].mail.tls"),
        (lambda d: target(d)["mail"].update(to=["nobody"]), "targets[desk].mail.to[0]"),
        (lambda d: target(d).update(on_call={"text": CALENDAR}), "exactly one of mail, service and on_call"),
        (lambda d: target(d, 1)["on_call"].update(config_map="calendar"), "either `config_map` or `text`"),
        (
            lambda d: target(d, 1)["on_call"].update(text=CALENDAR.replace("Berlin", "Frankfurt")),
            "'Europe/Frankfurt' is not a time zone",
        ),
        (
            lambda d: target(d, 1)["on_call"].update(text=CALENDAR.replace("desk", "duty")),
            "calendar on-call names `duty`, which is no target that takes messages. Fix: Use desk.",
        ),
        (lambda d: target(d, 1)["on_call"].update(text="a: ["), "it is not YAML 1.2"),
    ],
)
def test_a_notifier_that_cannot_work_is_refused_with_its_place(change: Change, message: str) -> None:
    assert message in refused(InputError, change, data())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: notifier(d)["targets"].append({"name": "chat", "service": SLACK}),
            "targets[chat].service: target chat is a service (slack), and class restricted has mail only",
        ),
        (
            lambda d: target(d)["mail"].update(address="52.94.0.1"),
            "targets[desk].mail.address: restricted mail would go to 52.94.0.1, which is outside",
        ),
        (lambda d: target(d)["mail"].update(address="10.80.0.9"), "restricted mail would go to 10.80.0.9"),
        (lambda d: notifier(d).update(user="reviews"), "have the same database user reviews"),
        (lambda d: notifier(d).update(user="gateway"), "have the same database user gateway"),
    ],
)
def test_a_notifier_that_opens_a_class_is_refused(change: Change, message: str) -> None:
    assert message in refused(Refused, change, data())


def test_a_notifier_needs_its_image_in_the_lock() -> None:
    platform = data()
    assert "notifier" in image_digests.needed_images(platform)
    platform["gateways"][0]["reviews"].pop("notifier")
    assert "notifier" not in image_digests.needed_images(platform)


def test_another_addressee_or_service_is_shown_to_people() -> None:
    at = "gateways.reviews.notifier."
    assert decides(at + "targets.mail.to", ["a@bank.example"], ["b@bank.example"])
    assert decides(at + "targets.service.host", None, "hooks.slack.com")
    assert decides(at + "give_up_h", 24, 1)
    assert not decides(at + "gather_s", 60, 30)


def test_the_relays_address_is_stated() -> None:
    values = {value.value for value in stated_values(overrides.validate(data()))}
    assert any("10.40.0.25" in value for value in values)


WEBHOOK: dict[str, Any] = {
    **{"name": "crime-app", "url": "https://app.bank.example:8443/isthmus", "address": "10.40.3.7"},
    "secret": "crime-app",
}


def with_webhook(**changes: Any) -> dict[str, Any]:
    """The bank, whose restricted gateway tells an application."""
    platform = data()
    workload = platform["gateways"][0]["workloads"][0]["name"]
    notifier(platform)["webhooks"] = [{**WEBHOOK, "workloads": [workload], **changes}]
    return platform


def test_a_platform_states_which_applications_are_told() -> None:
    gateway = overrides.validate(with_webhook()).gateways[0]
    assert ("app.bank.example", "10.40.3.7", 8443) in exits_of(gateway)
    assert webhook_of(gateway, gateway.workloads[0].name) == "crime-app"
    assert webhook_of(gateway, "other") is None


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"address": "203.0.113.9"}, Refused, "restricted events would go to 203.0.113.9"),
        ({"workloads": ["claims"]}, InputError, "has no workload `claims`"),
        ({"url": "http://app.bank.example/"}, InputError, "webhooks[crime-app].url"),
        ({"url": "https://user@app.bank.example/"}, InputError, "webhooks[crime-app].url"),
        ({"name": "desk"}, InputError, "or a target and a webhook"),
    ],
)
def test_a_webhook_that_leads_elsewhere_is_refused(
    changes: dict[str, Any], kind: type[Exception], message: str
) -> None:
    assert message in refused(kind, lambda platform: None, with_webhook(**changes))


def test_a_workload_has_one_webhook_at_most() -> None:
    def add(platform: dict[str, Any]) -> None:
        notifier(platform)["webhooks"].append({**notifier(platform)["webhooks"][0], "name": "two"})

    assert "is there twice" in refused(InputError, add, with_webhook())


def test_isthmus_ci_shows_another_place_of_a_webhook() -> None:
    at = "gateways.reviews.notifier.webhooks."
    assert decides(at + "url", "https://a.example/", "https://b.example/")
    assert decides(at + "address", "10.40.3.7", "10.40.3.8")
