"""EKS pod identities follow the same rules as Roles Anywhere certificates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.iam.audit_trail import nobody_switches_the_trail_off
from isthmus.graph.resources.resources import Graph
from isthmus.graph.workloads.translators import translators
from isthmus.reports.stack import network_diagram
from tests.policies import holding


@dataclass
class GraphResource:
    type: str
    name: str
    inputs: dict[str, Any] = field(default_factory=dict)
    urn: str = ""
    made: bool = True


def pods(namespace: str, account: str) -> GraphResource:
    spec = {"serviceAccountName": account, "containers": [{"name": "x", "image": "x"}]}
    template = {"metadata": {"labels": {"app": "x"}}, "spec": spec}
    meta = {"name": account, "namespace": namespace}
    return GraphResource(
        "kubernetes:apps/v1:Deployment", account, {"metadata": meta, "spec": {"template": template}}
    )


def association(namespace: str, account: str) -> GraphResource:
    inputs = {"namespace": namespace, "serviceAccount": account, "roleArn": "arn:aws:iam::${r.arn}"}
    return GraphResource("aws:eks/podIdentityAssociation:PodIdentityAssociation", f"{account}-pods", inputs)


def namespace(namespace: str) -> GraphResource:
    labels = {"isthmus.dev/class": namespace.removeprefix("isthmus-")}
    return GraphResource(
        "kubernetes:core/v1:Namespace", namespace, {"metadata": {"name": namespace, "labels": labels}}
    )


def test_pods_with_a_role_by_their_service_account_count_as_translators() -> None:
    resources = [namespace("isthmus-internal"), pods("isthmus-internal", "model")]
    assert not list(translators(Graph(resources)))
    (fault,) = translators(Graph([*resources, association("isthmus-internal", "model")]))
    assert (fault.role, fault.class_) == ("arn:aws:iam::${r.arn}", "internal")
    graph = Graph([*resources, association("isthmus-public", "model")])
    assert not list(translators(graph)), "another namespace's account of that name"


def test_a_pod_identity_in_a_restricted_namespace_is_found(platform: Platform) -> None:
    resources = [namespace("isthmus-restricted"), association("isthmus-restricted", "x")]
    says = holding.restricted_reaches_no_aws(Graph(resources), platform)
    assert (
        "x-pods gives pods of isthmus-restricted an AWS identity, which no restricted work may have" in says
    )


def key(**more: Any) -> Graph:
    linked = "arn:aws:iam::1:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    statement = {
        **{"Effect": "Allow", "Principal": {"AWS": linked}, "Action": ["kms:CreateGrant"], "Resource": "*"},
        "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        **more,
    }
    return Graph([GraphResource("aws:kms/key:Key", "volumes", {"policy": {"Statement": [statement]}})])


def test_only_an_aws_service_may_create_grants_of_a_key() -> None:
    assert nobody_switches_the_trail_off(key()) == []
    for more in ({"Condition": {}}, {"Principal": {"AWS": "arn:aws:iam::1:role/anyone"}}):
        faults = [str(fault) for fault in nobody_switches_the_trail_off(key(**more))]
        assert "the policy of volumes lets its callers do kms:CreateGrant" in faults


def test_the_identity_diagram_shows_the_service_account_that_assumes_a_role() -> None:
    tags = {"kubernetes-namespace": "isthmus-internal", "kubernetes-service-account": "t"}
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Condition": {
            "StringEquals": {f"aws:RequestTag/{name}": value for name, value in tags.items()},
            "ArnEquals": {"aws:SourceArn": "arn:aws:eks:::${llm.arn}"},
        },
    }
    resources = [
        GraphResource("aws:iam/role:Role", "r", {"assumeRolePolicy": {"Statement": [trust]}}),
        GraphResource("aws:eks/cluster:Cluster", "llm"),
    ]
    assert "pods of service account<br/>isthmus-internal/t<br/>in llm" in network_diagram.draw_identities(
        Graph(resources)
    )
