"""Data paths of random graphs: if restricted work can reach a cloud, some path is not allowed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import CLOUD_DOMAINS as EDGE_CLOUD_DOMAINS
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.pulumi_values import UNKNOWN
from isthmus.graph.data_path.egress import CLOUD_DOMAINS
from isthmus.graph.data_path.paths import data_paths
from isthmus.graph.resources.resources import Graph
from isthmus.graph.resources.state import Stated
from tests.blueprints import bank

HOSTS = (
    "bedrock-runtime.eu-central-1.amazonaws.com",
    "api.openai.com",
    "x.openai.azure.com",
    "aiplatform.googleapis.com",
)
CLOUD = (
    "0.0.0.0/0",
    "::/0",
    "10.80.0.0/16",
    "10.80.3.7/32",
    "10.0.0.0/8",
    "52.94.0.0/16",
    "2600:1f00::/24",
    "x",
    UNKNOWN,
)
CONTROLLED = {"statefulset.kubernetes.io/pod-name": "x-0"}
KINDS = (
    "apps/v1:Deployment",
    "apps/v1:DaemonSet",
    "batch/v1:Job",
    "batch/v1:CronJob",
    "core/v1:Pod",
    "x.y/v1:Anything",
)


@dataclass
class Case:
    """A namespace of restricted work, known by one sign or another, and a way out of it."""

    space: str
    made: list[Stated] = field(default_factory=list)

    def add(self, kind: str, inputs: dict[str, Any], **more: Any) -> None:
        name = f"thing-{len(self.made)}"
        self.made.append(Stated(f"urn:pulumi:s::p::{kind}::{name}", kind, name, inputs, **more))

    def closed(self) -> None:
        spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        self.add(
            "kubernetes:networking.k8s.io/v1:NetworkPolicy",
            {"metadata": {"namespace": self.space}, "spec": spec},
        )

    def open(self, selector: dict[str, Any], **rule: Any) -> None:
        spec = {"podSelector": selector, "policyTypes": ["Egress"], "egress": [rule]}
        self.add(
            "kubernetes:networking.k8s.io/v1:NetworkPolicy",
            {"metadata": {"namespace": self.space}, "spec": spec},
        )


LABELS = {"isthmus.dev/class": "restricted", "app": "x"}


@st.composite
def restricted(draw: st.DrawFn, sign: str | None = None) -> Case:
    """A closed namespace with a workload in it; restricted by its label, its name or its pods."""
    sign = sign or draw(st.sampled_from(["label", "name", "pods"]))
    case = Case("isthmus-restricted" if sign == "name" else "apps")
    labels = {"isthmus.dev/class": "restricted"} if sign == "label" else {}
    if sign != "name":  # one of ours without its label is a finding by itself
        case.add("kubernetes:core/v1:Namespace", {"metadata": {"name": case.space, "labels": labels}})
    case.closed()
    return case


def pod(case: Case, kind: str, labelled: bool, **spec: Any) -> None:
    meta = {"labels": LABELS if labelled else {"app": "x"}}
    template = {"metadata": meta, "spec": {"containers": [{"name": "x", **spec.pop("box", {})}], **spec}}
    identity_fields = {"name": "work", "namespace": case.space}
    if kind.endswith(":Pod"):
        inputs: dict[str, Any] = {"metadata": {**identity_fields, **meta}, "spec": template["spec"]}
    elif kind.endswith(":CronJob"):
        inputs = {"metadata": identity_fields, "spec": {"jobTemplate": {"spec": {"template": template}}}}
    else:
        inputs = {"metadata": identity_fields, "spec": {"template": template}}
    case.add(f"kubernetes:{kind}", inputs)


@st.composite
def reachable(draw: st.DrawFn) -> Case:
    """One that a cloud is open to: by a policy, the node's network, an identity, a host, a route, a Service."""
    case = draw(restricted())
    kind = draw(st.sampled_from(KINDS))
    peer_kind = draw(
        st.sampled_from(["block", "open", "host-network", "association", "account", "host", "route", "name"])
    )
    spec: dict[str, Any] = {}
    if peer_kind == "block":
        pod_name = draw(
            st.sampled_from([{}, {"matchLabels": {"app": "x"}}, {"matchLabels": {"app": "x", **CONTROLLED}}])
        )
        ports = draw(
            st.sampled_from([{}, {"ports": [{"port": 443}]}, {"ports": [{"port": 1, "endPort": 65535}]}])
        )
        case.open(pod_name, to=[{"ipBlock": {"cidr": draw(st.sampled_from(CLOUD))}}], **ports)
    elif peer_kind == "open":
        case.open({})
    elif peer_kind == "host-network":
        spec["hostNetwork"] = True
    elif peer_kind == "association":
        role = {"roleArn": draw(st.sampled_from(["arn:aws:iam::1:role/x", UNKNOWN, None]))}
        at = {"namespace": case.space, "serviceAccount": draw(st.sampled_from(["default", "other"])), **role}
        case.add("aws:eks/podIdentityAssociation:PodIdentityAssociation", at)
    elif peer_kind == "account":
        notes = {"eks.amazonaws.com/role-arn": draw(st.sampled_from(["arn:aws:iam::1:role/x", UNKNOWN]))}
        meta = {"name": "default", "namespace": case.space, "annotations": notes}
        case.add("kubernetes:core/v1:ServiceAccount", {"metadata": meta})
    elif peer_kind == "host":
        host = f"https://{draw(st.sampled_from(HOSTS))}/v1"
        places = {
            "env": [{"name": "URL", "value": host}],
            "args": ["--url", host],
            "command": [f"curl {host}"],
        }
        key = draw(st.sampled_from(sorted(places)))
        spec["box"] = {key: places[key]}
    else:
        host = draw(st.sampled_from(HOSTS))
        if peer_kind == "name":
            meta = {"name": "model", "namespace": case.space}
            case.add("kubernetes:core/v1:Service", {"metadata": meta, "spec": {"externalName": host}})
            host = f"model.{case.space}.svc"
        route = f"routes:\n- workload: w\n  url: https://{host}:443\n  server_name: x\n  model: m\n"
        meta = {"name": "config", "namespace": case.space}
        text = f"mode: gateway\nclass: restricted\n{route}"
        case.add("kubernetes:core/v1:ConfigMap", {"metadata": meta, "data": {"config.yaml": text}})
        spec["volumes"] = [{"name": "config", "configMap": {"name": "config"}}]
    pod(case, kind, True, **spec)
    return case


@given(reachable(), st.booleans(), st.integers())
@settings(max_examples=150, deadline=None)
def test_if_restricted_work_can_reach_a_cloud_some_path_is_not_allowed(
    case: Case, with_platform: bool, seed: int
) -> None:
    platform: Platform | None = bank.platform() if with_platform else None
    paths = data_paths(Graph(case.made), platform, "2026-11-26")
    restricted_paths = [path for path in paths if path.class_ == "restricted"]
    assert any(path.verdict != "allowed" for path in restricted_paths), restricted_paths
    shuffled = random.Random(seed).sample(case.made, len(case.made))
    assert data_paths(Graph(shuffled), platform, "2026-11-26") == paths


def test_graph_and_edge_have_the_same_list_of_cloud_domains() -> None:
    assert CLOUD_DOMAINS == EDGE_CLOUD_DOMAINS


@given(restricted(), st.sampled_from(KINDS), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_closed_namespace_has_no_data_paths(case: Case, kind: str, labelled: bool) -> None:
    """So that the other test finds the way, and not the namespace."""
    pod(case, kind, labelled)
    assert data_paths(Graph(case.made), bank.platform(), "2026-11-26") == []
