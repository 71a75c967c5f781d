"""The notifier of the bank's reviews: its settings, its files, and what it reaches."""

from __future__ import annotations

from typing import Any

import pytest

from components import Reviews
from edge.config import GatewayConfig, NotifierConfig
from edge.config import check as read_by_the_edge
from isthmus.core.errors import Refused
from tests.components.conftest import Engine, build
from tests.components.platforms import reviewed
from tests.components.test_chat import IMAGE, addresses, config_of, namespaces
from tests.components.test_review_domains import DOMAIN

pytestmark = pytest.mark.whole

NAME = "isthmus-fra1-confidential-reviews-notifier"
NAMESPACE = "isthmus-confidential-notifier"
POD = "confidential-notifier"
CALENDAR = """time_zone: Europe/Berlin
rotation: {from: 2026-01-05T09:00:00, days: 7, targets: [desk]}
"""
NOTIFIER: dict[str, Any] = {
    **{"secret": "notifier", "link": "https://reviews.bank.example", "relay_ca": "bank-ca"},
    "targets": [
        {
            "name": "desk",
            "mail": {
                **{"relay": "smtp.bank.example", "address": "10.40.0.25", "user": "isthmus"},
                **{"secret": "relay", "sender": "isthmus@bank.example", "to": ["desk@bank.example"]},
            },
        },
        {
            "name": "chat",
            "service": {
                **{"kind": "slack", "host": "hooks.slack.com", "address": "203.0.113.10"},
                "secret": "slack",
            },
        },
        {"name": "on-call", "on_call": {"text": CALENDAR}},
        {"name": "nights", "on_call": {"config_map": "nights"}},
    ],
    "routes": [{"domain": "onboarding", "to": "seniors", "targets": ["on-call", "nights"]}],
    "default": ["desk", "chat"],
}


def notifying(platform: dict[str, Any], at: int = 1, **more: Any) -> dict[str, Any]:
    """The bank, which tells people of confidential answers."""
    platform["images"]["notifier"] = platform["images"]["edge"]
    return reviewed(platform, at, domains=[DOMAIN], notifier={**NOTIFIER, **more})


def test_the_edge_reads_the_notifiers_settings(
    engine: Engine, platform: dict[str, Any], tmp_path: Any
) -> None:
    build(engine, notifying(platform))
    read = read_by_the_edge(config_of(engine, NAME), tmp_path)
    assert isinstance(read, NotifierConfig)
    assert (read.data_class, read.site, read.link) == (
        "confidential",
        "fra1",
        "https://reviews.bank.example",
    )
    assert (read.database.user, str(read.database.password)) == ("notifier", "/etc/isthmus/notifier/password")
    desk, chat, on_call, nights = read.targets
    assert desk.mail is not None
    assert (desk.mail.only_address, str(desk.mail.password)) == (
        "10.40.0.25",
        "/etc/isthmus/targets/desk/password",
    )
    assert (chat.service, str(chat.url)) == ("slack", "/etc/isthmus/targets/chat/url")
    assert str(on_call.on_call) == "/etc/isthmus/config/on-call-on-call"
    assert str(nights.on_call) == "/etc/isthmus/on-call/nights/on-call.yaml"
    assert read.routes[0].targets == ["on-call", "nights"]


def test_each_file_of_its_settings_is_mounted_from_a_secret_or_a_config_map(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, notifying(platform))
    pod = engine.pods()[POD]
    sources = {
        volume["name"]: volume.get("secret", {}).get("secretName") or volume.get("configMap", {}).get("name")
        for volume in pod["volumes"]
    }
    (container,) = pod["containers"]
    mounted = {mount["mountPath"]: sources[mount["name"]] for mount in container["volumeMounts"]}
    expected = {
        "/etc/isthmus/notifier": "notifier",
        "/etc/isthmus/targets/desk": "relay",
        "/etc/isthmus/targets/chat": "slack",
        "/etc/isthmus/on-call/nights": "nights",
        "/etc/isthmus/relay": "bank-ca",
    }
    assert {path: mounted.get(path) for path in expected} == expected
    config = engine.only("ConfigMap", f"{NAME}-config")
    assert config.inputs["data"]["on-call-on-call"] == CALENDAR
    account = engine.only("ServiceAccount", f"{NAME}-account")
    assert account.inputs["automountServiceAccountToken"] is False


def test_another_calendar_gives_the_config_map_another_name(platform: dict[str, Any]) -> None:
    names = []
    for text in (CALENDAR, CALENDAR.replace("days: 7", "days: 14")):
        engine = Engine()
        notifying(platform)["gateways"][1]["reviews"]["notifier"]["targets"] = [
            *NOTIFIER["targets"][:2],
            {"name": "on-call", "on_call": {"text": text}},
            NOTIFIER["targets"][3],
        ]
        build(engine, platform)
        names.append(engine.only("ConfigMap", f"{NAME}-config").meta["name"])
    assert names[0] != names[1], "running pods would keep the old calendar"


def test_it_reaches_the_database_and_its_targets_and_only_a_prometheus_reaches_it(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, notifying(platform))
    policy = engine.only("NetworkPolicy", f"{NAME}-network")
    assert policy.meta["namespace"] == NAMESPACE
    assert addresses(policy, "egress") == ["10.40.0.21/32", "10.40.0.25/32", "203.0.113.10/32"]
    assert [rule["ports"] for rule in policy.spec["egress"]] == [
        [{"protocol": "TCP", "port": port}] for port in (5432, 587, 443)
    ]
    assert (namespaces(policy, "egress"), namespaces(policy, "ingress")) == (set(), {"monitoring"})
    aliases = {alias["ip"]: alias["hostnames"] for alias in engine.pods()[POD]["hostAliases"]}
    assert aliases["10.40.0.25"] == ["smtp.bank.example"]
    assert aliases["203.0.113.10"] == ["hooks.slack.com"]
    assert any(monitor.name.startswith(NAME) for monitor in engine.all("PodMonitor"))


def test_without_a_notifier_there_is_no_namespace_for_one(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, reviewed(platform))
    assert POD not in engine.pods()
    assert NAMESPACE not in {space.meta["name"] for space in engine.all("Namespace")}


@pytest.mark.parametrize(
    ("target", "address", "message"),
    [
        (
            {"name": "chat", "service": "slack", "url": "/etc/isthmus/targets/chat/url"},
            None,
            "mail relays only",
        ),
        (None, "52.94.0.1", "not inside the site's networks"),
    ],
)
def test_a_restricted_notifier_that_leaves_the_site_is_not_made(
    engine: Engine, target: dict[str, Any] | None, address: str | None, message: str
) -> None:
    mail = {
        "name": "desk",
        "mail": {
            **{"relay": "smtp.bank.example", "address": "10.40.0.25", "port": 587, "tls": "starttls"},
            **{"sender": "isthmus@bank.example", "to": ["desk@bank.example"]},
        },
    }
    place = {"host": "smtp.bank.example", "address": address or "10.40.0.25", "port": 587}
    arguments: dict[str, Any] = {
        **{"sensitivity": "restricted", "site": "fra1", "image": IMAGE, "secret": "s", "reviewers_ca": "ca"},
        "database": {"host": "postgres.bank.example", "address": "10.40.0.21"},
        **{"records_volume": "r", "keys_volume": "k", "monitoring_namespace": "monitoring"},
        **{"issuer": {"name": "ca"}, "site_cidrs": ["10.40.0.0/16"], "from_namespaces": ["reviewers"]},
        "notifier": {
            **{"image": IMAGE, "secret": "notifier", "exits": [place]},
            "settings": {"mode": "notifier", "targets": [mail, *([target] if target else [])]},
        },
    }
    with pytest.raises(Refused, match=message):
        engine.deploy(Reviews, "r", arguments)


def test_an_application_is_told_at_its_address_with_the_files_of_its_secret(
    engine: Engine, platform: dict[str, Any], tmp_path: Any
) -> None:
    workload = platform["gateways"][1]["workloads"][0]["name"]
    webhook = {
        **{"name": "app", "workloads": [workload], "url": "https://app.bank.example/isthmus"},
        **{"address": "10.40.3.7", "secret": "app", "ca": "app-ca"},
    }
    build(engine, notifying(platform, webhooks=[webhook]))
    read = read_by_the_edge(config_of(engine, NAME), tmp_path)
    assert isinstance(read, NotifierConfig)
    (stated,) = read.webhooks
    assert (str(stated.secret), str(stated.ca), stated.gateway) == (
        "/etc/isthmus/webhooks/app/secret",
        "/etc/isthmus/webhook-ca/app/ca.crt",
        "https://confidential-gateway.isthmus-confidential.svc:8443",
    )
    pod = engine.pods()[POD]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["webhook-app"]["secret"]["secretName"] == "app"
    assert volumes["webhook-ca-app"]["configMap"]["name"] == "app-ca"
    policy = engine.only("NetworkPolicy", f"{NAME}-network")
    assert "10.40.3.7/32" in str(policy.inputs["spec"]["egress"])
    gateway = read_by_the_edge(config_of(engine, "isthmus-fra1-confidential-gateway"), tmp_path)
    assert isinstance(gateway, GatewayConfig)
    assert [told.name for told in gateway.workloads if told.webhook == "app"] == [workload]
