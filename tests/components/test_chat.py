"""The chat of the bank's confidential class: what its pods run, whom they reach, and each boundary of a wrong class."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from components import Chat
from edge.config import ChatConfig
from edge.config import check as read_by_the_edge
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reference.open_webui import START
from isthmus.core.errors import InputError, IsthmusError, Refused
from isthmus.graph.network.reachability import Network
from isthmus.graph.resources.resources import Graph
from policies.data_path.chats import RULES
from policies.rules.rule import Subject
from tests.components.conftest import Engine, Made, build
from tests.components.test_sign_on import OWNERS, USERS, signed_on
from tests.policies.making import resource_of

pytestmark = pytest.mark.whole

(RULE,) = RULES
NAME = "isthmus-fra1-confidential-chat"
IMAGE = "registry.bank.example/x@sha256:" + 64 * "0"
CHAT: dict[str, Any] = {
    "url": "https://chat.bank.example",
    "database": {"host": "postgres.bank.example", "address": "10.40.0.22"},
    "from_namespaces": ["ingress"],
}


def chatting(platform: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The bank with a chat of class confidential."""
    signed_on(platform, through=[], address="10.40.0.12")
    platform["images"] |= {"chat": IMAGE, "sign_on": IMAGE}
    [gateway] = [entry for entry in platform["gateways"] if entry["class"] == "confidential"]
    gateway["chat"] = {**CHAT, **more}
    return platform


def config_of(engine: Engine, name: str = NAME) -> dict[str, Any]:
    return YAML(typ="safe").load(engine.only("ConfigMap", f"{name}-config").inputs["data"]["config.yaml"])


def container(engine: Engine, pod: str, name: str) -> dict[str, Any]:
    return next(entry for entry in engine.pods()[pod]["containers"] if entry["name"] == name)


def addresses(policy: Made, direction: str) -> list[str]:
    return [
        peer["ipBlock"]["cidr"]
        for rule in policy.spec[direction]
        for peer in rule["to" if direction == "egress" else "from"]
        if "ipBlock" in peer
    ]


def namespaces(policy: Made, direction: str) -> set[str]:
    return {
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for rule in policy.spec[direction]
        for peer in rule["to" if direction == "egress" else "from"]
        if "namespaceSelector" in peer
    }


# --- What it is


def test_the_edge_reads_the_file_of_the_chats_proxy(
    engine: Engine, platform: dict[str, Any], tmp_path: Any
) -> None:
    build(engine, chatting(platform))
    read = read_by_the_edge(config_of(engine), tmp_path)
    assert isinstance(read, ChatConfig)
    assert read.gateway == "https://confidential-gateway.isthmus-confidential.svc:8443"
    assert [(grant.workload, grant.groups) for grant in read.tokens.workloads] == [
        ("kyc-extraction", ["kyc-clerks", "kyc-heads"])
    ]
    assert read.model_names == {"kyc-extraction": "Qwen/Qwen3-8B"} or len(read.model_names) == 1
    assert read.history is not None
    assert read.history.days == 30


def test_the_gateway_takes_tokens_through_its_own_chat(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, chatting(platform))
    tokens = config_of(engine, "isthmus-fra1-confidential-gateway")["tokens"]
    certificate = engine.only("Certificate", f"{NAME}-certificate")
    assert (
        tokens["through"]
        == certificate.spec["dnsNames"]
        == ["confidential-chat.isthmus-confidential-chat.svc"]
    )
    assert "client auth" in certificate.spec["usages"]
    assert "client auth" not in engine.only("Certificate", f"{NAME}-sign-on-certificate").spec["usages"]


def test_open_webui_has_its_switches_and_no_secret_in_its_spec(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, chatting(platform))
    chat = container(engine, "confidential-chat", "chat")
    variables = {entry["name"]: entry["value"] for entry in chat["env"]}
    assert chat["command"] == list(START)
    assert variables["HOST"] == "127.0.0.1"
    assert variables["ENABLE_ADMIN_CHAT_ACCESS"] == variables["ENABLE_PERSISTENT_CONFIG"] == "false"
    assert variables["USER_PERMISSIONS_CHAT_TEMPORARY_ENFORCED"] == "false"
    assert "PASSWORD" not in " ".join(
        name for name, value in variables.items() if value not in ("true", "false")
    )
    assert all("valueFrom" not in entry for entry in chat["env"])
    assert chat["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_start_page_has_help_and_the_other_chats_with_their_groups(
    engine: Engine, platform: dict[str, Any]
) -> None:
    chatting(platform)
    platform["people"]["users"] = [
        *USERS,
        {"name": "staff", "groups": ["all"], "workloads": ["policy-assistant"]},
    ]
    platform["people"]["help"] = [
        {"name": "it", "title": "IT help desk", "phone": "+49 69 4711"},
        {"name": "hr", "title": "HR", "mail": "hr@bank.example", "workloads": ["policy-assistant"]},
    ]
    [internal] = [entry for entry in platform["gateways"] if entry["class"] == "internal"]
    internal["chat"] = {**CHAT, "url": "https://staff.bank.example"}
    build(engine, platform)
    settings = config_of(engine)
    assert settings["help"] == [{"name": "IT help desk", "phone": "+49 69 4711"}]
    assert settings["places"] == [
        {"kind": "chat", "class": "internal", "url": "https://staff.bank.example", "groups": ["all"]}
    ]
    of_internal = config_of(engine, "isthmus-fra1-internal-chat")
    assert [entry["name"] for entry in of_internal["help"]] == ["IT help desk", "HR"]
    assert of_internal["places"][0]["groups"] == ["kyc-clerks", "kyc-heads"]


def test_no_history_is_kept_where_no_days_are(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, chatting(platform, history_days=0))
    variables = {
        entry["name"]: entry["value"] for entry in container(engine, "confidential-chat", "chat")["env"]
    }
    assert variables["USER_PERMISSIONS_CHAT_TEMPORARY_ENFORCED"] == "true"
    assert config_of(engine)["history"]["days"] == 0


def test_another_chat_gets_an_address_of_models_and_none_of_open_webuis_settings(
    engine: Engine, platform: dict[str, Any]
) -> None:
    other = "registry.bank.example/librechat@sha256:" + 64 * "1"
    platform = chatting(platform, image=other)
    del platform["images"]["chat"]
    build(engine, platform)
    chat = container(engine, "confidential-chat", "chat")
    variables = {entry["name"]: entry["value"] for entry in chat["env"]}
    assert (chat["image"], variables["OPENAI_BASE_URL"]) == (other, "http://127.0.0.1:8081/v1")
    assert "ENABLE_SIGNUP" not in variables
    assert "command" not in chat
    assert config_of(engine)["open_webui"] is False


def test_chat_and_sign_on_reach_what_they_need_and_nothing_else(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, chatting(platform))
    chat, sign_on = (engine.only("NetworkPolicy", f"{name}-network") for name in (NAME, f"{NAME}-sign-on"))
    assert (addresses(chat, "egress"), namespaces(chat, "egress")) == (
        ["10.40.0.22/32"],
        {"isthmus-confidential"},
    )
    assert namespaces(chat, "ingress") == {"isthmus-confidential-sign-on", "monitoring"}
    assert (addresses(sign_on, "egress"), namespaces(sign_on, "egress")) == (
        ["10.40.0.12/32"],
        {"isthmus-confidential-chat"},
    )
    assert namespaces(sign_on, "ingress") == {"ingress", "monitoring"}
    for name in ("confidential-chat", "confidential-sign-on"):
        pod = engine.pods()[name]
        assert pod["dnsPolicy"] == "None"
        assert pod["automountServiceAccountToken"] is False


def test_keys_at_an_address_are_read_there_by_the_chat_too(engine: Engine, platform: dict[str, Any]) -> None:
    platform = chatting(platform)
    platform["people"]["sign_on"] |= {
        "keys": {"url": "https://sso.bank.example/certs", "address": "10.40.0.30", "ca": "sign-on-ca"},
        "ca": "sign-on-ca",
    }
    build(engine, platform)
    assert addresses(engine.only("NetworkPolicy", f"{NAME}-network"), "egress") == [
        "10.40.0.22/32",
        "10.40.0.30/32",
    ]
    sign_on = container(engine, "confidential-sign-on", "sign-on")
    assert "--provider-ca-file=/etc/isthmus/issuer/ca.crt" in sign_on["args"]


# --- What is refused before it is made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"from_namespaces": []}, "nobody can reach the chat"),
        ({"history_days": 31}, "class confidential allows 30"),
        ({"database": {"host": "p", "address": "52.94.1.1"}}, "outside the networks"),
        ({"from_cidrs": ["0.0.0.0/0"]}, "outside the networks"),
        ({"client": "another"}, "no application whose tokens are accepted"),
        ({"url": "http://chat.bank.example"}, "url"),
    ],
)
def test_a_chat_that_cannot_work_or_leaves_its_class_is_refused_and_named(
    platform: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises((IsthmusError, ValueError), match=message):
        CheckedPlatform.model_validate(chatting(platform, **change))


def test_a_chat_needs_people_a_sign_on_and_its_images(platform: dict[str, Any]) -> None:
    whole = chatting(platform)

    def refused(message: str, **change: Any) -> None:
        with pytest.raises((IsthmusError, ValueError), match=message):
            CheckedPlatform.model_validate({**whole, **change})

    sign_on = whole["people"]["sign_on"]
    refused("nobody may use the chat", people=None)
    elsewhere = [{**USERS[0], "workloads": ["transaction-narratives"]}]
    refused(
        "nobody may use the chat",
        people={"sign_on": {**sign_on, "through": ["x.svc"]}, "users": elsewhere},
    )
    refused("needs the address", people={"sign_on": {**sign_on, "address": None}, "users": USERS})
    refused("is not clear", people={"sign_on": {**sign_on, "clients": ["a", "b"]}, "users": USERS})
    for image in ("chat", "sign_on"):
        refused(f"needs the image `{image}`", images={**whole["images"], image: None})


def test_conversations_are_in_a_database_of_their_own(platform: dict[str, Any]) -> None:
    whole = chatting(platform)
    [gateway] = [entry for entry in whole["gateways"] if entry["class"] == "confidential"]
    gateway["database"] = {"host": "postgres.bank.example", "address": "10.40.0.22"}
    gateway["chat"]["database"] = {**gateway["database"], "name": "isthmus"}
    with pytest.raises((IsthmusError, ValueError), match="keep conversations in the database of gateway"):
        CheckedPlatform.model_validate(whole)


# --- A chat of class internal that points at the confidential gateway: each boundary alone refuses it. The gateway
# itself does too, by the certificate (tests/edge/test_chats.py).

ARGUMENTS: dict[str, Any] = {
    **{"sensitivity": "internal", "site": "fra1", "url": "https://chat.bank.example"},
    **{"image": IMAGE, "chat_image": IMAGE, "sign_on_image": IMAGE, "client": "chat", "scope": "openid"},
    "gateway": "https://internal-gateway.isthmus-internal.svc:8443",
    **{"gateway_ip": "10.96.0.31", "workloads": [{"name": "policy"}], "issuer_address": "10.40.0.12"},
    "sign_on": {
        "tokens": {
            **{"issuer": "https://sso.bank.example", "audiences": ["isthmus"], "jwks_file": "/etc/isthmus/x"},
            "workloads": [{"workload": "policy", "groups": ["staff"]}],
        },
        "keys_config_map": "keys",
    },
    "database": {"host": "postgres.bank.example", "address": "10.40.0.21"},
    **{"history_days": 30, "secret": "chat", "sign_on_secret": "sign-on", "from_namespaces": ["ingress"]},
    **{"issuer": {"name": "ca"}, "monitoring_namespace": "monitoring"},
}
OTHERS = "https://confidential-gateway.isthmus-confidential.svc:8443"


def test_the_component_refuses_a_chat_that_points_at_another_classs_gateway(engine: Engine) -> None:
    engine.deploy(Chat, "fine", ARGUMENTS)
    with pytest.raises(InputError, match="which is not its class's gateway"):
        engine.deploy(Chat, "wrong", {**ARGUMENTS, "gateway": OTHERS})


def test_the_edge_does_not_start_with_another_classs_gateway(engine: Engine, tmp_path: Any) -> None:
    engine.deploy(Chat, "fine", ARGUMENTS)
    config = config_of(engine, "fine")
    read_by_the_edge(config, tmp_path)
    with pytest.raises(Exception, match="another class than the chat"):
        read_by_the_edge({**config, "gateway": OTHERS}, tmp_path)


def resources(engine: Engine, **changes: Any) -> list[Any]:
    """The resources of an engine, with others in place of some by name."""
    return [
        resource_of(made.type, made.name, changes.get(made.name.replace("-", "_"), made.inputs))
        for made in engine.made
        if made.type.startswith("kubernetes:")
    ]


def test_the_policy_reports_a_chat_that_asks_another_classs_gateway(engine: Engine) -> None:
    engine.deploy(Chat, "fine", ARGUMENTS)
    assert [v.message for v in RULE.check(Subject(Graph(resources(engine)), None))] == []
    config = {**config_of(engine, "fine"), "gateway": OTHERS}
    made = engine.only("ConfigMap", "fine-config")
    inputs = {**made.inputs, "data": {"config.yaml": json.dumps(config)}}
    changed = resources(engine, fine_config=inputs)
    messages = [violation.message for violation in RULE.check(Subject(Graph(changed), None))]
    assert messages == [
        "fine-config asks confidential-gateway.isthmus-confidential.svc, which is not the gateway of class internal"
    ]


def test_the_network_gives_a_chat_no_way_to_another_classs_gateway(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, chatting(platform))
    network = Network(Graph(resources(engine)))
    reached = {pods.name for pods in network.reached("isthmus-confidential-chat").pods}
    assert "confidential-gateway" in reached
    assert not {name for name in reached if name.startswith(("internal", "public", "restricted"))}


# --- What the policy compares with the platform


def found(engine: Engine, platform: dict[str, Any], **changes: Any) -> list[str]:
    subject = Subject(Graph(resources(engine, **changes)), Platform.model_validate(platform))
    return [violation.message for violation in RULE.check(subject)]


def pod_with(engine: Engine, deployment: str, name: str, **changes: Any) -> dict[str, Any]:
    """The inputs of a Deployment with another container."""
    inputs = json.loads(json.dumps(engine.only("Deployment", deployment).inputs))
    for entry in inputs["spec"]["template"]["spec"]["containers"]:
        if entry["name"] == name:
            entry |= changes
    return inputs


def test_the_policy_reports_each_change_of_a_chat(engine: Engine, platform: dict[str, Any]) -> None:
    build(engine, chatting(platform))
    assert found(engine, platform) == []


def test_the_policy_accepts_the_proxy_of_a_chat_whose_workload_has_owners(
    engine: Engine, platform: dict[str, Any]
) -> None:
    chatting(platform)["people"]["owners"] = OWNERS
    build(engine, platform)
    assert "owners" not in config_of(engine)["tokens"], "the gateway alone reads them"
    assert found(engine, platform) == []
    variables = container(engine, "confidential-chat", "chat")["env"]
    switched = [
        {**entry, "value": "true"} if entry["name"] == "ENABLE_WEB_SEARCH" else entry for entry in variables
    ]
    (message,) = found(
        engine,
        platform,
        isthmus_fra1_confidential_chat_server=pod_with(engine, f"{NAME}-server", "chat", env=switched),
    )
    assert "sets ENABLE_WEB_SEARCH of the chat otherwise" in message
    arguments = container(engine, "confidential-sign-on", "sign-on")["args"]
    leading = [*arguments, "--upstream=https://elsewhere.example/"]
    (message,) = found(
        engine,
        platform,
        isthmus_fra1_confidential_chat_sign_on_server=pod_with(
            engine, f"{NAME}-sign-on-server", "sign-on", args=leading
        ),
    )
    assert "--upstream=https://elsewhere.example/, which Isthmus does not" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"history": {"days": 400}}, "keeps conversations for longer"),
        ({"tokens": {"workloads": []}}, "accepts access tokens that the platform does not state"),
    ],
)
def test_the_policy_reports_other_settings_of_its_proxy(
    engine: Engine, platform: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    build(engine, chatting(platform))
    made = engine.only("ConfigMap", f"{NAME}-config")
    inputs = {**made.inputs, "data": {"config.yaml": json.dumps({**config_of(engine), **change})}}
    (reported,) = found(engine, platform, isthmus_fra1_confidential_chat_config=inputs)
    assert message in reported


@pytest.mark.parametrize("part", ["chat", "chat_sign_on"])
@pytest.mark.parametrize(
    ("direction", "peer", "message"),
    [
        ("egress", {"ipBlock": {"cidr": "0.0.0.0/0"}}, "reach 0.0.0.0/0"),
        ("egress", {"namespaceSelector": {}}, "reach pods of the cluster"),
        ("ingress", {"ipBlock": {"cidr": "10.0.0.0/8"}}, "lets 10.0.0.0/8 call"),
        ("ingress", {"namespaceSelector": {}}, "lets everybody call"),
    ],
)
def test_the_policy_reports_each_way_that_the_platform_does_not_state(
    engine: Engine, platform: dict[str, Any], part: str, direction: str, peer: Any, message: str
) -> None:
    build(engine, chatting(platform))
    name = f"isthmus-fra1-confidential-{part.replace('_', '-')}-network"
    inputs = json.loads(json.dumps(engine.only("NetworkPolicy", name).inputs))
    inputs["spec"][direction].append({"to" if direction == "egress" else "from": [peer]})
    changed = {name.replace("-", "_"): inputs}
    assert any(message in reported for reported in found(engine, platform, **changed))


def test_restricted_people_come_from_the_sites_networks(engine: Engine) -> None:
    arguments = {
        **ARGUMENTS,
        "sensitivity": "restricted",
        "gateway": "https://restricted-gateway.isthmus-restricted.svc:8443",
        **{"site_cidrs": ["10.40.0.0/16"], "history_days": 0, "from_cidrs": ["10.50.0.0/16"]},
    }
    with pytest.raises(Refused, match="not inside the site's networks"):
        engine.deploy(Chat, "r", arguments)
