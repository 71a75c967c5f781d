"""Faults in the networks of the bank's graph, one at a time: the rules find each."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.ip_addresses import is_within
from isthmus.engine.render import rendering
from isthmus.graph.network import reachability
from isthmus.graph.resources.resources import Graph
from tests.blueprints.bank import serving
from tests.broken_graphs.changes import KINDS, Change, document, finds, plus, template, workload
from tests.policies import holding

NAMED = "kubernetes.io/metadata.name"


def _policy_of(namespace: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "more", "namespace": namespace}, "spec": {"podSelector": {}, **spec}}


def _to(*peers: dict[str, Any]) -> dict[str, Any]:
    return {"egress": [{"to": list(peers)}]}


POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (_to({"ipBlock": {"cidr": "10.80.0.0/16"}}), "holds addresses of AWS"),
        ({**_to({"ipBlock": {"cidr": "::/0"}}), "policyTypes": ["Egress"]}, "reaches ::/0 port any, outside"),
        (
            _to({"ipBlock": {"cidr": "2001:db8::/32"}}),
            "outside the on-prem sites",
        ),  # Matches a pod of the graph; pods of other namespaces match too.
        (
            _to(
                {"namespaceSelector": {}, "podSelector": {"matchLabels": {"isthmus.dev/class": "restricted"}}}
            ),
            "not known",
        ),
        (
            _to({"namespaceSelector": {"matchLabels": {"isthmus.dev/class": "restricted"}}}),
            "whose own ways are not known",
        ),
        (
            _to(
                {
                    "namespaceSelector": {
                        "matchExpressions": [
                            {"key": NAMED, "operator": "In", "values": ["isthmus-restricted", "other"]}
                        ]
                    }
                }
            ),
            "not known",
        ),
    ],
)
def test_a_policy_that_opens_the_restricted_namespace_is_found(
    added: Any, platform: Platform, spec: dict[str, Any], says: str
):
    graph = added(POLICY, _policy_of("isthmus-restricted", **spec))
    finds(holding.restricted_reaches_no_aws(graph, platform), says)


@pytest.mark.parametrize(
    "kind",
    ["kubernetes:cilium.io/v2:CiliumNetworkPolicy", "kubernetes:networking.k8s.io/v1:NetworkPolicyPatch"],
)
def test_a_network_policy_of_an_unsupported_kind_is_found(added: Any, platform: Platform, kind: str):
    graph = added(kind, _policy_of("isthmus-restricted"))
    finds(holding.restricted_reaches_no_aws(graph, platform), "not read here")


@pytest.mark.parametrize("namespace", ["isthmus-confidential", "isthmus-internal"])
def test_egress_of_a_class_outside_its_translator_is_found(added: Any, platform: Platform, namespace: str):
    graph = added(POLICY, _policy_of(namespace, **_to({"ipBlock": {"cidr": "192.0.2.0/24"}})))
    finds(
        holding.aws_is_called_through_private_endpoints(graph, platform),
        f"{namespace} reaches 192.0.2.0/24 port any, outside",
    )


def test_an_egress_port_range_beyond_https_is_found(added: Any, platform: Platform):
    rule = {"to": [{"ipBlock": {"cidr": "10.80.0.0/16"}}], "ports": [{"port": 443, "endPort": 9000}]}
    graph = added(POLICY, _policy_of("isthmus-internal", egress=[rule]))
    finds(holding.aws_is_called_through_private_endpoints(graph, platform), "port 443-9000, beyond")


def test_a_policy_with_ingress_only_allows_no_egress(added: Any, platform: Platform):
    graph = added(POLICY, _policy_of("isthmus-restricted", ingress=[{"from": [{"podSelector": {}}]}]))
    assert holding.restricted_reaches_no_aws(graph, platform) == []


def test_egress_within_the_restricted_namespace_is_no_violation(added: Any, platform: Platform):
    peer = {"namespaceSelector": {"matchLabels": {NAMED: "isthmus-restricted"}}, "podSelector": {}}
    graph = added(POLICY, _policy_of("isthmus-restricted", **_to(peer)))
    assert holding.restricted_reaches_no_aws(graph, platform) == []


def test_ipv4_and_ipv6_ranges_never_contain_each_other():
    assert not is_within("::/0", ["10.0.0.0/8"])
    assert not is_within("10.0.0.0/8", ["::/0"])
    assert not reachability.overlaps("::/0", ["10.0.0.0/8"])
    assert is_within("2001:db8::/64", ["2001:db8::/32"])
    assert not is_within("${vpc.cidr}", ["0.0.0.0/0"])
    assert reachability.overlaps("${vpc.cidr}", ["10.0.0.0/8"])


@pytest.mark.parametrize("kind", KINDS)
def test_pods_of_every_workload_kind_are_checked(added: Any, platform: Platform, kind: str):
    pod = template(**{"isthmus.dev/class": "internal", "isthmus.dev/role": "model"})
    inside = added(kind, workload(kind, "isthmus-internal", pod))
    assert (
        reachability.Pods("more", "isthmus-internal", tuple(sorted(pod["metadata"]["labels"].items())))
        in reachability.Network(inside).pods
    )
    # On its node's network, no policy holds it.
    pod["spec"]["hostNetwork"] = True
    graph = added(kind, workload(kind, "isthmus-restricted", pod))
    finds(holding.restricted_reaches_no_aws(graph, platform), "isthmus-restricted reaches 0.0.0.0/0")


@pytest.mark.parametrize("label", [True, False])
def test_the_restricted_namespace_is_recognised_without_labels_on_its_pods(
    rendered: rendering.Rendered, platform: Platform, label: bool
):
    """By the namespace's label, or by its name where that is gone too."""
    out = _policy_of("isthmus-restricted", **_to({"ipBlock": {"cidr": "0.0.0.0/0"}}))
    resources = []
    for resource in rendered.resources:
        text = json.dumps(resource.inputs)
        if resource.type.endswith(":Deployment"):
            text = text.replace('"isthmus.dev/class": "restricted"', '"other": "label"')
        if resource.type.endswith(":Namespace") and not label:
            text = text.replace("isthmus.dev/class", "other")
        resources.append(replace(resource, inputs=json.loads(text)))
        if resource.name.endswith("restricted-default-deny"):
            resources.append(replace(resource, name="more", inputs=out))
    finds(
        holding.restricted_reaches_no_aws(Graph(resources), platform), "isthmus-restricted reaches 0.0.0.0/0"
    )


def _every_statement(**fields: Any) -> Change:
    return document(lambda statements: [statement.update(fields) for statement in statements])


CALLER = "arn:aws:iam:::${bank-internal-frankfurt-identity-role.arn}"
PROFILE = f"bank-internal-frankfurt-{serving('policy-assistant').id}-policy-assistant"
MODEL = f"arn:aws:bedrock:::${{{PROFILE}.arn}}"


def _when(operator: str, value: str = CALLER) -> dict[str, Any]:
    return {"Condition": {operator: {"aws:PrincipalArn": [value]}}}


GRANT: dict[str, Any] = {"Effect": "Allow", "Action": ["bedrock:InvokeModel"], "Resource": [MODEL]}
DENIAL: dict[str, Any] = {"Effect": "Deny", "Action": "bedrock:*", "Resource": "*"}


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (plus(**GRANT), "lets anybody in"),
        (plus(**GRANT, **_when("ArnNotEquals")), "lets anybody in"),
        (plus(**GRANT, **_when("ArnEqualsIfExists")), "lets anybody in"),
        (plus(**GRANT, **_when("ForAllValues:ArnEquals")), "lets anybody in"),
        (plus(**GRANT, **_when("ArnLike", "arn:aws:iam::*:role/*")), "lets anybody in"),
        (plus(**{**GRANT, **_when("ArnEquals"), "Action": "*"}), "callers do *"),
        (plus(**{**GRANT, **_when("ArnEquals"), "Action": ["bedrock:*"]}), "callers do bedrock:*"),
        (plus(**{**GRANT, **_when("ArnEquals"), "Resource": "*"}), "callers reach *"),
        (
            plus(**{**GRANT, **_when("ArnEquals"), "Action": "s3:PutObject", "Resource": "arn:aws:s3:::*"}),
            "callers reach arn:aws:s3",
        ),
        (
            plus(**{**GRANT, **_when("ArnEquals"), "Resource": "arn:aws:logs:eu-west-1:1:log-group:*"}),
            "callers reach arn:aws:logs",
        ),
        (
            plus(**{**GRANT, **_when("ArnEquals"), "Resource": "arn:aws:bedrock:*:*:foundation-model/a"}),
            "callers reach arn",
        ),
        (plus(Effect="Allow", NotAction="sts:*", Resource=MODEL, **_when("ArnEquals")), "does not name"),
        (
            _every_statement(Condition={"ArnNotEquals": {"aws:PrincipalArn": [CALLER]}}),
            "does not let internal-translator",
        ),
        (plus(**DENIAL), "does not let internal-translator call"),
        (plus(**DENIAL, **_when("ArnEquals")), "does not let internal-translator call"),
        (
            plus(**DENIAL, **_when("ArnNotEquals", "arn:aws:iam::1:role/x")),
            "does not let internal-translator",
        ),
        (
            plus(Effect="Deny", NotAction="sts:*", NotResource="arn:x"),
            "does not let internal-translator call",
        ),
        (lambda inputs: inputs.pop("policy"), "has no policy"),
    ],
)
def test_a_vpc_endpoint_policy_that_allows_more_or_less_than_its_caller_is_found(
    altered: Any, platform: Platform, how: Change, says: str
):
    graph = altered("VpcEndpoint", "frankfurt-endpoints-bedrock-runtime", how)
    finds(holding.aws_is_called_through_private_endpoints(graph, platform), says)


@pytest.mark.parametrize(
    "extra",
    [
        {**DENIAL, **_when("ArnNotEquals")},
        {**DENIAL, "Action": "bedrock:DeleteGuardrail"},
        {**GRANT, "Action": "sts:GetCallerIdentity", "Resource": "*", **_when("ArnEquals")},
    ],
)
def test_endpoint_statements_that_only_deny_or_need_no_resource_are_no_violation(
    altered: Any, platform: Platform, extra: dict[str, Any]
):
    def narrow(statements: list[dict[str, Any]]) -> None:
        statements[:] = [statement for statement in statements if CALLER in json.dumps(statement)]
        statements.append({"Principal": "*", **extra})

    graph = altered("VpcEndpoint", "frankfurt-endpoints-bedrock-runtime", document(narrow))
    broken = holding.aws_is_called_through_private_endpoints(graph, platform)
    assert [message for message in broken if "public-translator" not in message] == []


@pytest.mark.parametrize(
    "source", [{"cidrIpv4": "0.0.0.0/0"}, {"cidrIpv6": "::/0"}, {"prefixListId": "pl-1"}]
)
def test_a_vpc_endpoint_open_to_all_addresses_is_found(
    altered: Any, platform: Platform, source: dict[str, str]
):
    def change(inputs: dict[str, Any]) -> None:
        inputs.pop("cidrIpv4")
        inputs.update(source)

    graph = altered("SecurityGroupIngressRule", "endpoints-tcp-10-40-0-0-16", change)
    finds(
        holding.aws_is_called_through_private_endpoints(graph, platform),
        "endpoints-bedrock-runtime is open to",
    )


def test_a_vpc_endpoint_opened_by_inline_rules_of_its_security_group_is_found(
    altered: Any, platform: Platform
):
    rule = {"cidrBlocks": ["0.0.0.0/0"], "fromPort": 443, "toPort": 443, "protocol": "tcp"}
    graph = altered("SecurityGroup", "endpoints-group", lambda inputs: inputs.update(ingress=[rule]))
    finds(holding.aws_is_called_through_private_endpoints(graph, platform), "open to 0.0.0.0/0")


def test_a_second_policy_on_a_vpc_endpoint_is_found(added: Any, platform: Platform):
    graph = added(
        "aws:ec2/vpcEndpointPolicy:VpcEndpointPolicy",
        {
            "vpcEndpointId": "${bank-frankfurt-endpoints-rolesanywhere.id}",
            "policy": json.dumps({"Statement": {**GRANT, "Principal": "*"}}),
        },
    )
    finds(holding.aws_is_called_through_private_endpoints(graph, platform), "rolesanywhere lets anybody in")


TABLE = "${bank-frankfurt-network-routes.id}"


@pytest.mark.parametrize(
    ("kind", "inputs", "says"),
    [
        ("aws:ec2/route:Route", {"destinationIpv6CidrBlock": "::/0", "routeTableId": TABLE}, "leads to ::/0"),
        ("aws:ec2/route:Route", {"destinationCidrBlock": "0.0.0.0/1", "routeTableId": TABLE}, "leads to 0.0"),
        ("aws:ec2/route:Route", {"destinationPrefixListId": "pl-1", "routeTableId": TABLE}, "leads to pl-1"),
        ("aws:ec2transitgateway/route:Route", {"destinationCidrBlock": "0.0.0.0/0"}, "leads anywhere"),
        ("aws:ec2transitgateway/route:Route", {"destinationCidrBlock": "10.99.0.0/16"}, "leads to 10.99"),
        ("aws:ec2/routeTable:RouteTable", {"routes": [{"cidrBlock": "0.0.0.0/0"}]}, "leads anywhere"),
        ("aws:ec2/routeTable:RouteTable", {"routes": [{"ipv6CidrBlock": "::/0"}]}, "leads to ::/0"),
        ("aws:ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway", {}, "to the internet"),
        ("aws:ec2/vpcPeeringConnection:VpcPeeringConnection", {}, "joins a network to another"),
        ("aws:ec2transitgateway/peeringAttachment:PeeringAttachment", {}, "joins a network to another"),
    ],
)
def test_a_route_gateway_or_peering_out_of_the_networks_is_found(
    added: Any, platform: Platform, kind: str, inputs: dict[str, Any], says: str
):
    finds(holding.only_public_work_has_internet_access(added(kind, inputs), platform), says)
