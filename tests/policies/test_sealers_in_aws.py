"""Faults of sealers in an EKS cluster, one at a time: the rules find each."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.render import rendering
from isthmus.graph.resources import state as graph_state
from policies.evaluation.evaluation import judge
from tests import private
from tests.broken_graphs import resources as broken_resources
from tests.broken_graphs.changes import Change, document, replace_text
from tests.graph.clouds import deployed
from tests.recording import record

OTHER = {"ArnEquals": {"aws:PrincipalArn": ["${insurer-frankfurt-eks-node-role.arn}"]}}
MINE = (
    "audit/seal",
    "audit/share",
    "audit/gateways",
    "identity/translators-only",
    "data-path/",
    "network/endpoints-answer-by-name",
)
SEALER = "insurer-frankfurt-internal-sealer"


@functools.cache
def platform() -> Platform:
    return private.platform()


@functools.cache
def rendered() -> rendering.Rendered:
    return record(platform())


def findings_of(resources: Any) -> list[tuple[str, str, str]]:
    """Findings about gateway records, identities and networks."""
    findings = judge(resources, platform())
    return [
        (finding.policy, finding.verdict, finding.message)
        for finding in findings
        if finding.policy.startswith(MINE)
    ]


def test_sealers_in_eks_have_no_findings_rendered_or_deployed() -> None:
    assert findings_of(rendered().resources) == []
    assert findings_of(graph_state.from_state(deployed(list(rendered().resources)))) == []


def pods(**changes: Any) -> Change:
    def change(inputs: dict[str, Any]) -> None:
        inputs.update(changes)

    return change


def egress(cidr: str) -> Change:
    def change(inputs: dict[str, Any]) -> None:
        inputs["spec"]["egress"][0]["to"][0]["ipBlock"]["cidr"] = cidr

    return change


def _with(action: str) -> Change:
    return document(lambda statements: statements[0]["Action"].append(action))


def _unknown_name(name: str) -> Change:
    """Gives the pod another address for S3."""

    def change(inputs: dict[str, Any]) -> None:
        inputs["spec"]["template"]["spec"]["hostAliases"][0]["ip"] = name

    return change


BROKEN: dict[str, tuple[str, str, Change, str]] = {
    "an identity that another account of the namespace bears": (
        ":PodIdentityAssociation",
        f"{SEALER}-identity-pods",
        pods(serviceAccount="default"),
        "has no AWS identity, and its store names no credentials",
    ),
    "the sealer's identity at the gateway": (
        ":PodIdentityAssociation",
        f"{SEALER}-identity-pods",
        pods(namespace="isthmus-internal", serviceAccount="internal-gateway"),
        "seals nothing, and may s3:PutObject",
    ),
    "a way to the whole network": (
        ":NetworkPolicy",
        f"{SEALER}-network",
        egress("10.80.0.0/16"),
        "which is not its store",
    ),
    "a role that deletes": (
        ":RolePolicy",
        f"{SEALER}-identity-policy",
        _with("s3:DeleteObject"),
        "may s3:DeleteObject, which sealing does not take",
    ),
    "an endpoint that lets another in": (
        ":VpcEndpoint",
        "insurer-frankfurt-sealing-s3",
        document(lambda statements: [statement.update(Condition=OTHER) for statement in statements]),
        "does not let internal-sealer put seals",
    ),
    "a store at another address": (
        ":Deployment",
        f"{SEALER}-server",
        _unknown_name("10.80.9.9"),
        "which is no endpoint of S3 that is made here",
    ),
    "a store of somebody else's": (
        ":ConfigMap",
        f"{SEALER}-config",
        replace_text("https://s3.eu-central-1.amazonaws.com", "https://s3.elsewhere.example"),
        "but the store of frankfurt is S3",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_every_fault_of_a_sealer_in_eks_is_found(case: str) -> None:
    kind, name, change, says = BROKEN[case]
    graph = broken_resources.altered(rendered().resources, kind, name, change)
    left = [resource for resource in rendered().resources if not resource.made]
    findings = findings_of([*left, *graph.resources])
    assert [message for _, verdict, message in findings if says in message and verdict == "violated"], (
        findings
    )


def test_an_unknown_configuration_of_a_sealer_is_undecided() -> None:
    def hidden(inputs: dict[str, Any]) -> None:
        inputs["data"] = "${insurer-frankfurt-bucket.unknown}"

    graph = broken_resources.altered(rendered().resources, ":ConfigMap", f"{SEALER}-config", hidden)
    left = [resource for resource in rendered().resources if not resource.made]
    findings = findings_of([*left, *graph.resources])
    assert ("audit/sealed-at-home", "undecided") in {(policy, verdict) for policy, verdict, _ in findings}
    assert {verdict for _, verdict, _ in findings} == {"undecided"}, findings


def test_allowing_a_deployer_at_the_vpc_endpoints_gives_no_new_findings() -> None:
    data = private.data()
    deployer = "arn:aws:iam::123456789012:role/isthmus-deploy"
    services = [*data["networks"][0].get("services", []), "kms", "logs", "cloudtrail"]
    data["networks"][0] |= {"deployers": [deployer], "services": services}
    allowing = overrides.validate(data)
    resources = record(allowing).resources
    endpoints = {resource.name: resource for resource in resources if resource.type.endswith(":VpcEndpoint")}
    assert deployer in endpoints["insurer-frankfurt-endpoints-cloudtrail"].inputs["policy"]
    assert deployer not in endpoints["insurer-frankfurt-endpoints-bedrock-runtime"].inputs["policy"]
    before = {(finding.policy, finding.message) for finding in judge(rendered().resources, platform())}
    after = {(finding.policy, finding.message) for finding in judge(resources, allowing)}
    assert after <= before, after - before
