"""The review desk of the bank's confidential class: its settings, its proxy, and who reaches either."""

from __future__ import annotations

from typing import Any

import pytest

from components import Reviews
from edge.config import ReviewsConfig
from edge.config import check as read_by_the_edge
from isthmus.core.errors import InputError, Refused
from tests.components.conftest import Engine, build
from tests.components.platforms import reviewed
from tests.components.test_chat import IMAGE, addresses, chatting, config_of, container, namespaces
from tests.components.test_sign_on import SIGN_ON

pytestmark = pytest.mark.whole

NAME = "isthmus-fra1-confidential-reviews"
PROXY = "isthmus-confidential-reviews-sign-on"
DESK: dict[str, Any] = {
    "url": "https://reviews.bank.example",
    "client": "reviews",
    "from_namespaces": ["ingress"],
    "groups": [
        {"name": "desk", "groups": ["kyc-desk"], "workloads": ["kyc-extraction"], "role": "reviewer"},
        {"name": "heads", "groups": ["kyc-heads"], "domains": ["onboarding"], "role": "senior"},
        {"name": "audit", "groups": ["internal-audit"], "role": "auditor"},
    ],
    "reasons": [
        {
            "domain": "onboarding",
            "codes": [
                {"code": "wrong-name", "label": {"en": "Wrong name", "de": "Falscher Name"}},
                {"code": "wrong-date", "label": "Wrong date"},
            ],
        }
    ],
    "guidelines": [{"name": "kyc", "workloads": ["kyc-extraction"], "text": "# Names\n"}],
    "score_after_first_judgement": ["onboarding"],
}


def with_desk(platform: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The bank, whose confidential answers people review at a desk, without users of workloads."""
    platform["people"] = {
        "sign_on": {**SIGN_ON, "clients": ["chat", "reviews"], "through": [], "address": "10.40.0.12"}
    }
    platform["images"]["sign_on"] = platform["images"]["edge"]
    return reviewed(platform, desk={**DESK, **more})


def test_the_edge_reads_the_desks_settings(engine: Engine, platform: dict[str, Any], tmp_path: Any) -> None:
    build(engine, with_desk(platform))
    read = read_by_the_edge(config_of(engine, NAME), tmp_path)
    assert isinstance(read, ReviewsConfig)
    assert read.desk is not None
    assert read.tokens is not None
    assert (read.desk.listen.port, read.desk.listen.client_ca) == (8445, None)
    assert read.tokens.clients == ["reviews"], "a token of another application opens no desk"
    assert [(group.groups, group.domains, group.workloads, group.role) for group in read.desk.groups] == [
        (["kyc-desk"], None, ["kyc-extraction"], "reviewer"),
        (["kyc-heads"], ["onboarding"], None, "senior"),
        (["internal-audit"], None, None, "auditor"),
    ]
    assert [reason.text("de") for reason in read.desk.reasons["onboarding"]] == [
        "Falscher Name",
        "Wrong date",
    ]
    assert read.desk.guidelines == {"kyc-extraction": "# Names\n"}
    assert read.desk.score_after_first_judgement == ["onboarding"]


def test_a_review_service_without_a_desk_has_one_port_and_no_proxy(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, reviewed(platform))
    assert "desk" not in config_of(engine, NAME)
    service = engine.only("Service", f"{NAME}-service")
    assert [port["name"] for port in service.spec["ports"]] == ["https"]
    assert "confidential-reviews-sign-on" not in engine.pods()


def test_only_the_proxy_reaches_the_desks_port(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, with_desk(platform))
    people, proxy, scraping = engine.only("NetworkPolicy", f"{NAME}-network").spec["ingress"]
    assert [rule["ports"][0]["port"] for rule in (people, proxy, scraping)] == [8443, 8445, 9090]
    assert proxy["from"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": PROXY}},
            "podSelector": {
                "matchLabels": {"isthmus.dev/role": "reviews-sign-on", "isthmus.dev/class": "confidential"}
            },
        }
    ]


def test_the_proxy_reaches_the_desk_and_the_issuer_and_people_reach_the_proxy(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, with_desk(platform, from_cidrs=["10.40.8.0/24"]))
    policy = engine.only("NetworkPolicy", f"{NAME}-sign-on-network")
    assert policy.meta["namespace"] == PROXY
    assert (addresses(policy, "egress"), namespaces(policy, "egress")) == (
        ["10.40.0.12/32"],
        {"isthmus-confidential-reviews"},
    )
    assert policy.spec["egress"][0]["ports"] == [{"protocol": "TCP", "port": 8445}]
    assert addresses(policy, "ingress") == ["10.40.8.0/24"]
    assert namespaces(policy, "ingress") == {"ingress", "monitoring"}
    sign_on = container(engine, "confidential-reviews-sign-on", "sign-on")
    for argument in (
        "--client-id=reviews",
        "--redirect-url=https://reviews.bank.example/oauth2/callback",
        "--upstream=https://confidential-reviews.isthmus-confidential-reviews.svc:8445/",
    ):
        assert argument in sign_on["args"]
    pod = engine.pods()["confidential-reviews-sign-on"]
    assert [alias["hostnames"] for alias in pod["hostAliases"]] == [
        ["confidential-reviews.isthmus-confidential-reviews.svc"],
        ["sso.bank.example"],
    ]
    certificate = engine.only("Certificate", f"{NAME}-sign-on-certificate")
    assert "client auth" not in certificate.spec["usages"], "it is no reviewer of the API"


def test_the_issuers_keys_are_a_file_or_read_at_their_address(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, with_desk(platform))
    pod = engine.pods()["confidential-reviews"]
    assert {"name": "sign-on-keys", "configMap": {"name": "sign-on-keys", "defaultMode": 0o440}} in pod[
        "volumes"
    ]
    assert addresses(engine.only("NetworkPolicy", f"{NAME}-network"), "egress") == ["10.40.0.21/32"]
    fetching = Engine()
    platform["people"]["sign_on"] |= {
        "keys": {"url": "https://sso.bank.example/certs", "address": "10.40.0.30", "ca": "sign-on-ca"},
        "ca": "sign-on-ca",
    }
    build(fetching, platform)
    policy = fetching.only("NetworkPolicy", f"{NAME}-network")
    assert addresses(policy, "egress") == ["10.40.0.21/32", "10.40.0.30/32"]
    assert "10.40.0.30" in [alias["ip"] for alias in fetching.pods()["confidential-reviews"]["hostAliases"]]
    sign_on = container(fetching, "confidential-reviews-sign-on", "sign-on")
    assert "--provider-ca-file=/etc/isthmus/issuer/ca.crt" in sign_on["args"]


def test_a_class_has_a_chat_and_a_desk_beside_each_other(engine: Engine, platform: dict[str, Any]) -> None:
    platform = chatting(platform, client="chat")
    reviewed(platform, desk=DESK)
    platform["people"]["sign_on"]["clients"] = ["chat", "reviews"]
    platform["gateways"][1]["chat"]["database"]["address"] = "10.40.0.22"
    build(engine, platform)
    pods = engine.pods()
    assert {"confidential-sign-on", "confidential-reviews-sign-on"} <= set(pods)


def test_a_desk_that_nobody_reaches_or_from_outside_the_site_is_not_made(engine: Engine) -> None:
    desk = {
        **{"url": DESK["url"], "sign_on_image": IMAGE, "client": "reviews", "scope": "openid"},
        **{"issuer_address": "10.40.0.12", "sign_on_secret": "sign-on"},
        "settings": {"url": DESK["url"], "groups": [{"groups": ["a"], "role": "reviewer"}]},
        "sign_on": {
            "tokens": {
                **{"issuer": "https://sso.bank.example", "audiences": ["isthmus"]},
                "jwks_file": "/etc/isthmus/sign-on/jwks.json",
            },
            "keys_config_map": "keys",
        },
    }
    arguments: dict[str, Any] = {
        **{"sensitivity": "restricted", "site": "fra1", "image": IMAGE, "secret": "s", "reviewers_ca": "ca"},
        "database": {"host": "postgres.bank.example", "address": "10.40.0.21"},
        **{"records_volume": "r", "keys_volume": "k", "monitoring_namespace": "monitoring"},
        **{"issuer": {"name": "ca"}, "site_cidrs": ["10.40.0.0/16"], "from_namespaces": ["reviewers"]},
    }
    with pytest.raises(InputError, match="may reach the desk"):
        engine.deploy(Reviews, "r", {**arguments, "desk": desk})
    with pytest.raises(Refused, match="not inside the site's networks"):
        engine.deploy(Reviews, "r", {**arguments, "desk": {**desk, "from_cidrs": ["10.9.0.0/16"]}})
    fine = {**desk, "from_namespaces": ["ingress"]}
    with pytest.raises(Refused, match="not inside the site's networks"):
        engine.deploy(Reviews, "r", {**arguments, "desk": {**fine, "issuer_address": "52.94.0.1"}})
