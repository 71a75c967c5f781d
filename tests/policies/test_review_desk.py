"""A review desk as made breaks no rule, and each change of it that the platform does not state is reported."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.resources import state as graph_state
from isthmus.graph.resources.resources import Graph
from policies.audit import reviews
from policies.data_path import own_settings, pod_contents
from policies.encryption import in_transit
from policies.evaluation.evaluation import judge
from policies.evaluation.registry import RULES as ALL_RULES
from policies.rules.rule import Rule, Subject
from tests import private
from tests.components.conftest import Engine, build
from tests.components.platforms import bank, reviewed
from tests.components.test_review_desk import NAME, PROXY, with_desk
from tests.components.test_review_domains import DOMAIN, GATEWAY
from tests.graph.clouds import deployed
from tests.policies.making import resource_of
from tests.recording import record

pytestmark = pytest.mark.whole

Change = Callable[[dict[str, Any]], object]
RULES = (*reviews.RULES, *own_settings.RULES, *pod_contents.RULES, *in_transit.RULES)
NETWORK, SIGN_ON_NETWORK = f"{NAME}-network", f"{NAME}-sign-on-network"


@pytest.fixture(scope="module")
def made() -> tuple[Engine, Platform]:
    engine, platform = Engine(), with_desk(bank(), from_cidrs=["10.40.8.0/24"])
    platform["gateways"][1]["reviews"]["domains"] = [DOMAIN]
    platform["gateways"][1]["reviews"]["cases"] = {"legal_basis": "consent", "notice": {"en": "It is read."}}
    build(engine, platform)
    return engine, Platform.model_validate(platform)


def found(
    made: tuple[Engine, Platform],
    name: str = "",
    change: Change | None = None,
    rules: Sequence[Rule] = RULES,
) -> list[str]:
    """What the rules report, with one resource changed."""
    engine, platform = made
    graph = []
    for entry in engine.made:
        if not entry.type.startswith("kubernetes:"):
            continue
        inputs = entry.inputs
        if change is not None and entry.name == name:
            inputs = copy.deepcopy(inputs)
            change(inputs)
        # A preview has references to the addresses of Services.
        text = re.sub(r"10\.96\.0\.\d+", f"${{{NAME}-service.spec.clusterIP}}", json.dumps(inputs))
        resource = resource_of(entry.type, entry.name, json.loads(text, parse_float=as_number))
        urn = f"urn:pulumi:dev::bank::isthmus:index:Reviews${entry.type}::{entry.name}"
        of_component = any(part in entry.name for part in ("-reviews", "-loader", "-evaluator"))
        graph.append(replace(resource, urn=urn) if of_component else resource)
    subject = Subject(Graph(graph), platform)
    return [violation.message for rule in rules for violation in rule.check(subject)]


def as_number(text: str) -> float:
    """A number as the engine writes it: the mocks make all numbers floats."""
    number = float(text)
    return int(number) if number.is_integer() else number


def configured(change: Change) -> Change:
    """A change of the review service's configuration."""
    from ruamel.yaml import YAML

    def changing(inputs: dict[str, Any]) -> None:
        config = YAML(typ="safe").load(inputs["data"]["config.yaml"])
        change(config)
        inputs["data"]["config.yaml"] = json.dumps(config)

    return changing


def let_in(peer: dict[str, Any], port: Any = 8445, **more: Any) -> Change:
    ports = {"ports": [{"protocol": "TCP", "port": port, **more}]} if port else {}
    return lambda inputs: inputs["spec"]["ingress"].append({"from": [peer], **ports})


def let_out(**peer: Any) -> Change:
    return lambda inputs: inputs["spec"]["egress"].append({"to": [peer]})


def reported_only_by(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """What all rules of the pack report of the second platform, and not of the first."""
    reported: list[set[str]] = []
    for platform in (before, after):
        engine = Engine()
        build(engine, platform)
        reported.append(set(found((engine, Platform.model_validate(platform)), rules=ALL_RULES)))
    return reported[1] - reported[0]


def in_namespace(name: str, role: str = "") -> dict[str, Any]:
    peer: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
    return {**peer, "podSelector": {"matchLabels": {"isthmus.dev/role": role}}} if role else peer


def test_a_desk_as_made_breaks_no_rule(made: tuple[Engine, Platform]) -> None:
    assert found(made) == []


def test_no_rule_of_the_pack_reports_more_than_without_a_desk(made: tuple[Engine, Platform]) -> None:
    engine, platform = Engine(), reviewed(bank())
    build(engine, platform)
    before = found((engine, Platform.model_validate(platform)), rules=ALL_RULES)
    assert set(found(made, rules=ALL_RULES)) - set(before) == set()


@pytest.mark.parametrize(
    ("peer", "port", "more"),
    [
        (in_namespace("monitoring"), 8445, {}),
        (in_namespace("monitoring"), None, {}),
        (in_namespace("monitoring"), 8400, {"endPort": 8500}),
        (in_namespace("monitoring"), "desk", {}),
        ({"ipBlock": {"cidr": "10.40.7.0/24"}}, 8445, {}),
        (in_namespace(PROXY), 8445, {}),
        (in_namespace(PROXY, "tool"), 8445, {}),
    ],
)
def test_the_desks_port_is_for_the_proxy_alone(
    made: tuple[Engine, Platform], peer: dict[str, Any], port: Any, more: dict[str, Any]
) -> None:
    (message,) = found(made, NETWORK, let_in(peer, port, **more))
    assert "reach the port of the review desk past its sign-on" in message


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (SIGN_ON_NETWORK, let_in(in_namespace("default"), 8443), "lets namespace default call"),
        (SIGN_ON_NETWORK, let_in({"ipBlock": {"cidr": "10.0.0.0/8"}}, 8443), "lets 10.0.0.0/8 call"),
        (
            SIGN_ON_NETWORK,
            lambda inputs: inputs["spec"]["egress"].append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}),
            f"lets {PROXY} reach 0.0.0.0/0",
        ),
        (
            NETWORK,
            lambda inputs: inputs["spec"]["egress"].append({"to": [{"ipBlock": {"cidr": "10.40.0.12/32"}}]}),
            "lets the review service reach 10.40.0.12/32",
        ),
        (
            f"{NAME}-sign-on-server",
            lambda inputs: inputs["spec"]["template"]["spec"]["containers"][0]["args"].append(
                "--skip-auth-regex=.*"
            ),
            "runs the sign-on with --skip-auth-regex=.*",
        ),
    ],
)
def test_another_network_or_another_argument_of_the_proxy_is_reported(
    made: tuple[Engine, Platform], name: str, change: Change, message: str
) -> None:
    assert any(message in reported for reported in found(made, name, change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda config: config["desk"]["groups"].append({"groups": ["staff"], "role": "reviewer"}),
            "has a review desk with groups",
        ),
        (
            lambda config: config["desk"]["groups"][2].update(role="senior"),
            "has a review desk with groups",
        ),
        (
            lambda config: config["desk"].update(url="https://elsewhere.example"),
            "has a review desk with url",
        ),
        (
            lambda config: config["desk"].update(score_after_first_judgement=[]),
            "has a review desk with score_after_first_judgement",
        ),
        (lambda config: config["desk"].update(max_session_s=86400), "has a review desk with max_session_s"),
        (lambda config: config["desk"].update(people="pseudonymous"), "has a review desk with people"),
        (lambda config: config["desk"].pop("planted"), "has a review desk with planted"),
        (
            lambda config: config["desk"].update(second_look_rate=0.1),
            "has a review desk with second_look_rate",
        ),
        (lambda config: config["desk"]["listen"].update(port=8446), "serves its review desk at port 8446"),
        (
            lambda config: config["desk"]["listen"].update(key="/tmp/key"),
            "takes desk.listen.key from /tmp/key",
        ),
        (lambda config: config["desk"]["listen"].pop("certificate"), "has a desk that listens without TLS"),
        (lambda config: config["tokens"].update(clients=[]), "accepts access tokens with clients"),
        (lambda config: config.pop("desk"), "has a review desk, and the platform states none"),
    ],
)
def test_other_settings_of_a_desk_are_reported(
    made: tuple[Engine, Platform], change: Change, message: str
) -> None:
    assert any(message in reported for reported in found(made, f"{NAME}-config", configured(change)))


@pytest.mark.parametrize(
    "change",
    [
        lambda domains: domains[0].update(decide_h=400),
        lambda domains: domains[0]["escalation"].pop(),
        lambda domains: domains.clear(),
        lambda domains: domains[0].update(name="other"),
    ],
)
def test_other_deadlines_than_the_platform_states_are_reported(
    made: tuple[Engine, Platform], change: Change
) -> None:
    message = "has deadlines of domain onboarding that the platform does not state"
    of_reviews = configured(lambda config: change(config["domains"]))
    of_gateway = configured(lambda config: change(config["reviews"]["domains"]))
    for name, changed in ((f"{NAME}-config", of_reviews), (f"{GATEWAY}-config", of_gateway)):
        assert any(message in reported for reported in found(made, name, changed)), name


@pytest.mark.parametrize(
    "change",
    [
        lambda reviews: reviews["cases"].update(appeal_days=1),
        lambda reviews: reviews["cases"]["notice"].update(en="Read."),
        lambda reviews: reviews.pop("cases"),
    ],
)
def test_another_legal_basis_of_cases_than_the_platform_states_is_reported(
    made: tuple[Engine, Platform], change: Change
) -> None:
    changed = configured(lambda config: change(config["reviews"]))
    message = "has a legal basis, a notice or appeal_days of cases that the platform does not state"
    assert any(message in reported for reported in found(made, f"{GATEWAY}-config", changed))


def test_a_desk_that_the_platform_does_not_state_is_reported(made: tuple[Engine, Platform]) -> None:
    engine, platform = made
    stated = platform.model_dump(mode="json", by_alias=True, exclude_none=True)
    for gateway in stated["gateways"]:
        gateway.get("reviews", {}).pop("desk", None)
    bare = Platform.model_validate(stated)
    reported = found((engine, bare))
    for message in (
        "has a review desk, and the platform states none",
        "accepts access tokens of people, and the platform states no review desk",
        "is the sign-on of a review desk, and the platform states none",
        f"lets namespace {PROXY} call the review service",
    ):
        assert any(message in line for line in reported), message


def in_eks() -> Platform:
    """An insurer's confidential answers in a cluster in AWS, which reads the issuer's keys at an address."""
    desk = {
        **{"url": "https://reviews.insurer.example", "from_namespaces": ["ingress"]},
        "groups": [{"name": "desk", "groups": ["claims-desk"], "domains": ["claims"], "role": "reviewer"}],
    }
    platform = private.reviewed(desk=desk)
    platform["people"] = platform.get("people", {}) | {
        "sign_on": {
            **{"issuer": "https://sso.insurer.example", "address": "10.80.40.30", "clients": ["reviews"]},
            "keys": {"url": "https://sso.insurer.example/certs", "address": "10.80.40.31"},
        }
    }
    platform["images"]["sign_on"] = platform["images"]["edge"]
    return CheckedPlatform.model_validate(platform)


def test_a_desk_in_eks_has_no_findings_rendered_or_deployed() -> None:
    platform = in_eks()
    resources = record(platform).resources
    assert any(resource.name.endswith("confidential-reviews-sign-on-server") for resource in resources)
    for made in (resources, graph_state.from_state(deployed(list(resources)))):
        findings = [finding for finding in judge(made, platform) if "reviews" in finding.message]
        assert [(finding.policy, finding.message) for finding in findings] == []
