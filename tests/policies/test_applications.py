"""An application of a class in a namespace of its own: one entry of the trust file, and no identity of the class."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from isthmus.contracts.policy_settings import Settings
from isthmus.engine.render.recorder import Resource
from tests.policies.boundary_rows import deployment_spec, kube, proposed, stops
from tests.policies.test_boundary_rows_of_own_objects import trusting

pytestmark = pytest.mark.whole

SPACE = "policy-assistant"
LABELS = {"isthmus.dev/class": "internal", "pod-security.kubernetes.io/enforce": "restricted"}
LINE = trusting("namespaces", SPACE)
DNS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}
RULES = {f"data-path/{rule}" for rule in ("own-objects", "own-identity", "stated-workloads", "own-network")}


def namespace(name: str = SPACE, labels: dict[str, str] = LABELS) -> Resource:
    return kube("core/v1:Namespace", name, None, metadata={"labels": labels})


def policy(name: str, **spec: Any) -> Resource:
    return kube("networking.k8s.io/v1:NetworkPolicy", name, SPACE, spec={"podSelector": {}, **spec})


def server(**pod: Any) -> Resource:
    spec = copy.deepcopy(deployment_spec())
    spec["template"]["spec"] |= pod
    return kube("apps/v1:Deployment", "assistant", SPACE, spec=spec)


CERTIFICATE = kube(
    "cert-manager.io/v1:Certificate",
    "assistant",
    SPACE,
    spec={
        **{"secretName": "assistant-tls", "dnsNames": ["assistant.policy-assistant.svc"]},
        "issuerRef": {"name": "bank-internal-ca", "kind": "ClusterIssuer"},
    },
)
TLS = {"volumes": [{"name": "tls", "secret": {"secretName": "assistant-tls"}}]}
CALLS = policy(
    "calls",
    podSelector={"matchLabels": {"app": "team"}},
    policyTypes=["Egress"],
    egress=[
        {"to": [DNS], "ports": [{"protocol": "UDP", "port": 53}]},
        {
            "to": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "isthmus-internal"}}}
            ],
            "ports": [{"protocol": "TCP", "port": 8443}],
        },
    ],
)
APPLICATION = [
    namespace(),
    policy("default-deny", policyTypes=["Ingress", "Egress"]),
    CALLS,
    CERTIFICATE,
    kube("core/v1:ServiceAccount", "team", SPACE, automountServiceAccountToken=False),
    kube("core/v1:ConfigMap", "assistant", SPACE, data={"MODEL": "policy-assistant"}),
    kube("core/v1:Service", "assistant", SPACE, spec={"selector": {"app": "team"}}),
    server(**TLS),
]


def found(*resources: Resource, settings: Settings | None = LINE) -> set[str]:
    return {finding.policy for finding in stops(*resources, settings=settings)} & RULES


def test_the_namespace_alone_is_proposed_and_not_each_object_in_it():
    assert proposed(*APPLICATION) == {("namespaces", SPACE)}


def test_an_application_passes_with_one_line_and_not_without():
    assert found(*APPLICATION) == set()
    assert found(*APPLICATION, settings=None) == RULES


@pytest.mark.parametrize(
    ("added", "rule"),
    [
        (
            policy("out", policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]),
            "data-path/own-network",
        ),
        (
            kube(
                "rbac.authorization.k8s.io/v1:RoleBinding",
                "admins",
                SPACE,
                roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
                subjects=[{"kind": "Group", "name": "everybody", "apiGroup": "rbac.authorization.k8s.io"}],
            ),
            "data-path/own-objects",
        ),
        (
            kube("core/v1:Service", "assistant", "isthmus-internal", spec={"selector": {"app": "x"}}),
            "data-path/own-objects",
        ),
    ],
)
def test_what_opens_something_is_refused_beside_it(added: Resource, rule: str):
    assert found(*APPLICATION, added) == ({rule} if rule else set())


def test_a_pod_with_the_gateways_labels_is_refused_there_too():
    spec = copy.deepcopy(deployment_spec())
    spec["template"]["metadata"]["labels"] |= {"isthmus.dev/role": "gateway"}
    fake = kube("apps/v1:Deployment", "fake", SPACE, spec=spec)
    assert "data-path/own-identity" in found(*APPLICATION, fake)


@pytest.mark.parametrize("class_", ["confidential", "restricted"])
def test_names_stay_filtered_for_classes_whose_data_stay(class_: str):
    # A name looked up by the cluster's resolver can carry data out.
    labelled = [namespace(labels={**LABELS, "isthmus.dev/class": class_}), *APPLICATION[1:]]
    assert "data-path/own-network" in found(*labelled)


def test_restricted_work_has_no_application_in_the_platforms_program():
    labelled = [namespace(labels={**LABELS, "isthmus.dev/class": "restricted"}), *APPLICATION[1:]]
    assert found(*labelled) >= {"data-path/own-objects", "data-path/stated-workloads"}


@pytest.mark.parametrize("name", ["isthmus-internal-extra", "monitoring", "kube-system"])
def test_a_namespace_of_the_platform_or_of_a_control_plane_is_no_application(name: str):
    moved = [
        namespace(name),
        *(
            replace(
                resource, inputs={**resource.inputs, "metadata": {"name": resource.name, "namespace": name}}
            )
            for resource in (APPLICATION[5], APPLICATION[7])
        ),
    ]
    assert found(*moved, settings=trusting("namespaces", name))


def test_an_entry_of_a_beginning_does_not_count():
    assert found(*APPLICATION, settings=trusting("namespaces", "policy-*")) == RULES
