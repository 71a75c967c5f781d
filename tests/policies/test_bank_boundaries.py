"""The bank's graph passes the boundary rules, and each rule finds a violation."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.render import rendering
from isthmus.graph.resources.resources import Graph
from tests.blueprints.bank import serving
from tests.broken_graphs.changes import replace_text
from tests.policies import holding
from tests.policies.apart import apart

Change = Callable[[dict[str, Any]], Any]


def test_the_bank_violates_no_boundary(rendered: rendering.Rendered, platform: Platform):
    assert holding.all_of(Graph(rendered.resources), platform) == []


def test_the_banks_graph_has_the_resources_that_boundary_rules_check(rendered: rendering.Rendered):
    graph = Graph(rendered.resources)
    assert len(list(graph.of("aws:iam/role:Role"))) >= 7
    assert len(list(graph.of("aws:ec2/vpcEndpoint:VpcEndpoint"))) == 2
    translators = [
        name for name in (resource.name for resource in graph.of(":Deployment")) if "translator" in name
    ]
    assert len(translators) == 2


def _let_out(cidr: str) -> Change:
    rule = {"to": [{"ipBlock": {"cidr": cidr}}], "ports": [{"port": 443, "protocol": "TCP"}]}
    return lambda inputs: inputs["spec"].setdefault("egress", []).append(rule)


@pytest.mark.parametrize(
    ("cidr", "says"),
    [
        ("10.80.0.0/24", "holds addresses of AWS"),
        ("0.0.0.0/0", "holds addresses of AWS"),
        ("192.0.2.0/24", "outside"),
    ],
)
def test_egress_from_the_restricted_namespace_to_other_networks_is_found(
    altered: Any, platform: Platform, cidr: str, says: str
):
    graph = altered("NetworkPolicy", "restricted-gateway-network", _let_out(cidr))
    assert any(says in message for message in holding.restricted_reaches_no_aws(graph, platform))


def test_a_path_through_pods_of_another_class_is_found(altered: Any, platform: Platform):
    peer = {
        "namespaceSelector": {"matchLabels": {"isthmus.dev/class": "internal"}},
        "podSelector": {"matchLabels": {"isthmus.dev/role": "translator"}},
    }
    graph = altered(
        "NetworkPolicy",
        f"{serving('transaction-narratives').id}-network",
        lambda inputs: inputs["spec"].update(egress=[{"to": [peer]}]),
    )
    broken = holding.restricted_reaches_no_aws(graph, platform)
    assert any("reaches internal-translator of class internal" in message for message in broken)
    assert any("holds addresses of AWS" in message for message in broken)


def test_use_of_cluster_dns_in_the_restricted_namespace_is_found(altered: Any, platform: Platform):
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    graph = altered(
        "NetworkPolicy", "restricted-dns", lambda inputs: inputs["spec"]["egress"][0].update(to=[peer])
    )
    assert any("not known" in message for message in holding.restricted_reaches_no_aws(graph, platform))


def test_a_namespace_without_a_default_deny_policy_is_found(rendered: rendering.Rendered, platform: Platform):
    graph = Graph(
        resource for resource in rendered.resources if not resource.name.endswith("restricted-default-deny")
    )
    assert any("0.0.0.0/0" in message for message in holding.restricted_reaches_no_aws(graph, platform))


def test_a_call_to_a_public_aws_endpoint_is_found(altered: Any, platform: Platform):
    graph = altered(
        "ConfigMap",
        "internal-gateway-translator-config",
        replace_text(
            "https://vpce-${bank-frankfurt-endpoints-bedrock-runtime.id}.bedrock", "https://bedrock"
        ),
    )
    broken = holding.aws_is_called_through_private_endpoints(graph, platform)
    model = f"{serving('policy-assistant').id}--policy-assistant"
    assert any(f"internal-translator calls {model} at https://bedrock" in message for message in broken)


def _policy(how: Callable[[list[dict[str, Any]]], object]) -> Change:
    def change(inputs: dict[str, Any]) -> None:
        document = json.loads(inputs["policy"])
        how(document["Statement"])
        inputs["policy"] = json.dumps(document)

    return change


@pytest.mark.parametrize("service", ["bedrock-runtime", "rolesanywhere"])
def test_an_endpoint_that_does_not_name_its_caller_is_found(altered: Any, platform: Platform, service: str):
    graph = altered(
        "VpcEndpoint",
        service,
        _policy(lambda statements: [statement.pop("Condition") for statement in statements]),
    )
    broken = holding.aws_is_called_through_private_endpoints(graph, platform)
    assert any(
        f"the policy of bank-frankfurt-endpoints-{service} does not let" in message for message in broken
    )


def test_a_translator_with_egress_beyond_its_network_is_found(altered: Any, platform: Platform):
    graph = altered("NetworkPolicy", "internal-gateway-translator-network", _let_out("0.0.0.0/0"))
    broken = holding.aws_is_called_through_private_endpoints(graph, platform)
    assert any(
        "isthmus-internal reaches 0.0.0.0/0 port 443, outside the sites" in message for message in broken
    )


def test_a_role_that_may_stop_the_trail_is_found(altered: Any):
    allowed = {"Effect": "Allow", "Action": "cloudtrail:*", "Resource": "*"}
    bounded = altered(
        "RolePolicy", "internal-frankfurt-policy", _policy(lambda statements: statements.append(allowed))
    )
    assert holding.trail_cannot_be_disabled(bounded) == [], "the boundary holds whatever the policy says"
    free = Graph(
        replace(resource, inputs={**resource.inputs, "permissionsBoundary": None})
        if resource.name.endswith("internal-frankfurt-identity-role")
        else resource
        for resource in bounded.resources
    )
    broken = holding.trail_cannot_be_disabled(free)
    assert any("has no permissions boundary" in message for message in broken)
    assert any("may cloudtrail:StopLogging" in message for message in broken)


def test_a_trail_with_logging_off_is_found(altered: Any):
    graph = altered("cloudtrail/trail:Trail", "", lambda inputs: inputs.update(enableLogging=False))
    assert any("does not log" in message for message in holding.trail_cannot_be_disabled(graph))


def test_a_resource_without_the_stacks_tags_is_found(altered: Any, platform: Platform):
    graph = altered("ec2/vpc:Vpc", "", lambda inputs: inputs["tags"].pop("isthmus-resource"))
    assert holding.everything_is_tagged(graph, platform) == [
        "aws:ec2/vpc:Vpc bank-frankfurt-network-vpc bears no tags of the stack's"
    ]


def test_an_aws_access_key_in_a_pod_is_found(altered: Any):
    variable = {"name": "AWS_ACCESS_KEY_ID", "value": "AKIA"}

    def add(inputs: dict[str, Any]) -> None:
        inputs["spec"]["template"]["spec"]["containers"][0].setdefault("env", []).append(variable)

    graph = altered("Deployment", "internal-gateway-translator-server", add)
    assert any("sets AWS_ACCESS_KEY_ID" in message for message in holding.no_access_key(graph))


@pytest.fixture
def public_apart() -> tuple[Graph, Platform]:
    return apart()


def _changed(graph: Graph, kind: str, name: str, how: Change) -> Graph:
    """The graph with changed inputs of one resource."""
    copies, count = [], 0
    for resource in graph.resources:
        if resource.type.endswith(kind) and resource.name.endswith(name):
            inputs = copy.deepcopy(resource.inputs)
            how(inputs)
            resource, count = replace(resource, inputs=inputs), count + 1  # type: ignore[type-var]
        copies.append(resource)
    assert count == 1, f"{count} of {kind} {name}"
    return Graph(copies)


def test_public_work_may_have_a_network_with_internet_access(public_apart: tuple[Graph, Platform]):
    graph, platform = public_apart
    assert len(list(graph.of("ec2/internetGateway:InternetGateway"))) == 1
    assert holding.all_of(graph, platform) == []


def test_an_internet_gateway_that_is_not_in_the_platform_is_found(
    public_apart: tuple[Graph, Platform], platform: Platform
):
    broken = holding.only_public_work_has_internet_access(public_apart[0], platform)
    assert any("the platform states none for it" in message for message in broken)
    assert any("open-network-internet-route leads anywhere" in message for message in broken)


def _joins(vpc: str) -> Change:
    return lambda inputs: inputs.update(vpcId=f"${{{vpc}.id}}")


@pytest.mark.parametrize(
    ("kind", "name", "how", "says"),
    [
        ("NetworkPolicy", "internal-gateway-translator-network", _let_out("10.81.4.0/24"), "reaches it"),
        (
            "VpcEndpoint",
            "frankfurt-endpoints-rolesanywhere",
            _joins("bank-open-network-vpc"),
            "lets internal",
        ),
        (
            "VpcEndpoint",
            "open-endpoints-bedrock-runtime",
            _policy(lambda statements: [statement.pop("Condition") for statement in statements]),
            "lets anybody in",
        ),
        (
            "InternetGateway",
            "open-network-internet",
            _joins("bank-frankfurt-network-vpc"),
            "isthmus-internal reaches it",
        ),
        ("InternetGateway", "open-network-internet", lambda inputs: inputs.clear(), "is not known"),
        (
            "ec2/route:Route",
            "internet-route",
            lambda inputs: inputs.update(routeTableId="${bank-frankfurt-network-routes.id}"),
            "leads anywhere",
        ),
        ("ec2/route:Route", "internet-route", lambda inputs: inputs.pop("gatewayId"), "leads anywhere"),
    ],
)
def test_non_public_work_in_a_network_with_internet_access_is_found(
    public_apart: tuple[Graph, Platform], kind: str, name: str, how: Change, says: str
):
    graph, platform = public_apart
    broken = holding.only_public_work_has_internet_access(_changed(graph, kind, name, how), platform)
    assert any(says in message for message in broken), broken
