"""People's access tokens at the bank's gateways: their file, which the edge reads, the keys, and what policies say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from edge.config import GatewayConfig
from edge.config import check as read_by_the_edge
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.errors import IsthmusError
from isthmus.graph.resources.resources import Graph
from policies.data_path.own_settings import RULES
from policies.rules.rule import Subject
from tests.components.conftest import Engine, build
from tests.policies.cases_inside import namespace_of_class
from tests.policies.making import resource_of

pytestmark = pytest.mark.whole

(RULE,) = RULES
GATEWAY = "isthmus-fra1-confidential-gateway-config"
SIGN_ON: dict[str, Any] = {
    "issuer": "https://sso.bank.example/realms/bank",
    "clients": ["chat"],
    "through": ["chat.isthmus-confidential.svc"],
    "keys": {"config_map": "sign-on-keys"},
}
USERS = [{"name": "clerks", "groups": ["kyc-clerks", "kyc-heads"], "workloads": ["kyc-extraction"]}]


def signed_on(platform: dict[str, Any], users: Any = None, **more: Any) -> dict[str, Any]:
    platform["people"] = {"sign_on": {**SIGN_ON, **more}, "users": USERS if users is None else users}
    return platform


def config_of(engine: Engine, name: str = GATEWAY) -> dict[str, Any]:
    return YAML(typ="safe").load(engine.only("ConfigMap", name).inputs["data"]["config.yaml"])


def test_the_gateway_of_the_users_workload_accepts_their_tokens_and_no_other_does(
    engine: Engine, platform: dict[str, Any], tmp_path: Any
) -> None:
    build(engine, signed_on(platform))
    read = read_by_the_edge(config_of(engine), tmp_path)
    assert isinstance(read, GatewayConfig)
    assert read.tokens is not None
    assert (read.tokens.issuer, read.tokens.audiences, read.tokens.clients) == (
        SIGN_ON["issuer"],
        ["isthmus"],
        ["chat"],
    )
    assert read.tokens.through == ["chat.isthmus-confidential.svc"]
    assert [(grant.workload, grant.groups) for grant in read.tokens.workloads] == [
        ("kyc-extraction", ["kyc-clerks", "kyc-heads"])
    ]
    assert "tokens" not in config_of(engine, "isthmus-fra1-restricted-gateway-config")
    pods = {name: pod for name, pod in engine.pods().items() if name.endswith("confidential-gateway")}
    ((_, pod),) = pods.items()
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "sign-on-keys"]
    assert volume["configMap"]["name"] == "sign-on-keys"
    (edge,) = [container for container in pod["containers"] if container["name"] == "edge"]
    assert {"name": "sign-on-keys", "mountPath": "/etc/isthmus/sign-on", "readOnly": True} in edge[
        "volumeMounts"
    ]


def test_keys_at_an_address_are_reached_by_it_alone(engine: Engine, platform: dict[str, Any]) -> None:
    keys = {"url": "https://sso.bank.example:8443/certs", "address": "10.40.0.30", "ca": "sign-on-ca"}
    build(engine, signed_on(platform, keys=keys))
    tokens = config_of(engine)["tokens"]
    assert (tokens["jwks_url"], tokens["ca"]) == (keys["url"], "/etc/isthmus/sign-on-ca/ca.crt")
    policy = engine.only("NetworkPolicy", "isthmus-fra1-confidential-gateway-network")
    assert {
        "to": [{"ipBlock": {"cidr": "10.40.0.30/32"}}],
        "ports": [{"protocol": "TCP", "port": 8443}],
    } in policy.spec["egress"]
    ((_, pod),) = [item for item in engine.pods().items() if item[0].endswith("confidential-gateway")]
    assert {"ip": "10.40.0.30", "hostnames": ["sso.bank.example"]} in pod["hostAliases"]


RESTRICTED = [{"name": "analysts", "groups": ["aml"], "workloads": ["transaction-narratives"]}]


@pytest.mark.parametrize(
    ("users", "more", "message"),
    [
        ([{**USERS[0], "workloads": ["unknown"]}], {}, "no gateway serves"),
        (None, {"through": []}, "no named certificate"),
        (None, {"through": ["*.bank.example"]}, "not a valid name"),
        (None, {"keys": {}}, "one source"),
        (None, {"keys": {"url": "https://sso.bank.example/certs"}}, "go together"),
        (None, {"keys": {"url": "https://a/b", "address": "52.94.1.1"}}, "outside the allowed networks"),
        (
            RESTRICTED,
            {"keys": {"url": "https://a/b", "address": "10.80.0.9"}},
            "outside the allowed networks",
        ),
        ([], {}, "nobody uses the sign-on"),
        (None, {"max_lifetime_s": 86400}, "max_lifetime_s"),
        (None, {"issuer": "http://sso.bank.example"}, "issuer"),
    ],
)
def test_a_sign_on_that_cannot_work_is_refused_and_named(
    platform: dict[str, Any], users: Any, more: dict[str, Any], message: str
) -> None:
    with pytest.raises((IsthmusError, ValueError), match=message):
        CheckedPlatform.model_validate(signed_on(platform, users, **more))


OWNERS = [{"name": "kyc", "groups": ["kyc-heads"], "workloads": ["kyc-extraction"]}]


def test_owners_of_a_workload_are_told_to_its_gateway(engine: Engine, platform: dict[str, Any]) -> None:
    signed_on(platform)["people"]["owners"] = OWNERS
    build(engine, platform)
    assert config_of(engine)["tokens"]["owners"] == [{"workload": "kyc-extraction", "groups": ["kyc-heads"]}]


@pytest.mark.parametrize(
    ("key", "entry", "message"),
    [
        (
            "owners",
            {**OWNERS[0], "groups": ["strangers"]},
            "`strangers` owns kyc-extraction but may not use it",
        ),
        ("help", {"name": "desk", "title": "Desk"}, "help desk cannot be reached"),
        (
            "help",
            {"name": "desk", "title": "Desk", "phone": "4711", "workloads": ["no"]},
            "no gateway serves",
        ),
        ("help", {"name": "desk", "title": "Desk", "page": "javascript:alert(1)"}, "page"),
    ],
)
def test_owners_and_help_that_cannot_work_are_refused(
    platform: dict[str, Any], key: str, entry: dict[str, Any], message: str
) -> None:
    signed_on(platform)["people"][key] = [entry]
    with pytest.raises((IsthmusError, ValueError), match=message):
        CheckedPlatform.model_validate(platform)


def test_users_alone_are_refused(platform: dict[str, Any]) -> None:
    platform["people"] = {"users": USERS}
    with pytest.raises((IsthmusError, ValueError), match="users need a sign_on"):
        Platform.model_validate(platform)


def found(engine: Engine, platform: dict[str, Any], **changes: Any) -> list[str]:
    """What the rule says if somebody changes the tokens of the confidential gateway."""
    settings = config_of(engine)
    settings["tokens"] = {**settings["tokens"], **changes}
    made = engine.only("ConfigMap", GATEWAY)
    inputs = {**made.inputs, "data": {"config.yaml": json.dumps(settings)}}
    resources = [
        namespace_of_class("confidential", "isthmus-confidential"),
        resource_of("kubernetes:core/v1:ConfigMap", GATEWAY, inputs),
    ]
    subject = Subject(Graph(resources), Platform.model_validate(platform))
    return [violation.message for violation in RULE.check(subject) if "tokens" in violation.message]


def test_tokens_that_the_platform_does_not_state_are_reported(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, signed_on(platform))
    assert found(engine, platform) == []
    grants = [{"workload": "kyc-extraction", "groups": ["everybody"]}]
    for changes, key in (
        ({"workloads": grants}, "workloads"),
        ({"issuer": "https://evil.example"}, "issuer"),
        ({"through": []}, "through"),
        ({"clients": []}, "clients"),
        ({"max_lifetime_s": 5400}, "max_lifetime_s"),
    ):
        (message,) = found(engine, platform, **changes)
        assert f"accepts access tokens with {key}, which the platform does not state" in message
