"""Ways to AWS, tried from real network namespaces."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from isthmus.core.errors import EnvironmentFault
from sandbox.local import reach

pytestmark = pytest.mark.service

TARGETS = [("network", "10.80.0.10", 443), ("public", "3.5.136.1", 443), ("metadata", "169.254.169.254", 80)]


class Cluster:
    """Objects of an API server."""

    def __init__(self, objects: dict[str, list[dict[str, Any]]]) -> None:
        self.objects = objects

    def items(self, path: str) -> list[dict[str, Any]]:
        return self.objects.get(path.rpartition("/")[2]) or []


def deployment(namespace: str, role: str) -> dict[str, Any]:
    labels = {"isthmus.dev/class": namespace, "isthmus.dev/role": role}
    return {
        "metadata": {"namespace": namespace, "name": f"{namespace}-{role}"},
        "spec": {"template": {"metadata": {"labels": labels}}},
    }


def policy(namespace: str, cidr: str = "") -> dict[str, Any]:
    rule = {"to": [{"ipBlock": {"cidr": cidr}}], "ports": [{"port": 443, "protocol": "TCP"}]}
    return {
        "metadata": {"namespace": namespace, "name": "rules"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule] if cidr else []},
    }


OBJECTS = {
    "namespaces": [{"metadata": {"name": name}} for name in ("restricted", "public")],
    "deployments": [deployment("restricted", "gateway"), deployment("public", "translator")],
    "networkpolicies": [policy("restricted"), policy("public", "10.80.0.0/16")],
}


def tried(objects: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    found = reach.prove(Cluster(objects), "here", TARGETS)  # type: ignore[arg-type]
    return {each.name: each.reached for each in found}


def test_a_pod_reaches_what_its_policies_open_and_nothing_else():
    assert tried(OBJECTS) == {"restricted-gateway": (), "public-translator": ("network",)}


def test_without_its_policy_a_restricted_pod_reaches_every_address():
    objects = {**OBJECTS, "networkpolicies": [policy("public", "10.80.0.0/16")]}
    assert tried(objects)["restricted-gateway"] == ("network", "public", "metadata")


def test_a_port_that_is_not_named_stays_closed():
    objects = copy.deepcopy(OBJECTS)
    objects["networkpolicies"][0] = policy("restricted", "169.254.0.0/16")
    assert tried(objects)["restricted-gateway"] == ()


def test_both_parts_of_a_group_of_machines_are_tried():
    template = {"metadata": {"labels": {"isthmus.dev/class": "restricted", "isthmus.dev/role": "model"}}}
    group = {
        "metadata": {"namespace": "restricted", "name": "large"},
        "spec": {"leaderWorkerTemplate": {"leaderTemplate": template, "workerTemplate": template}},
    }
    found = reach.prove(Cluster({**OBJECTS, "leaderworkersets": [group]}), "here", TARGETS)  # type: ignore[arg-type]
    assert [each.name for each in found].count("large") == 2


def test_a_policy_of_an_unknown_form_proves_nothing():
    objects = copy.deepcopy(OBJECTS)
    objects["networkpolicies"][0]["spec"]["egress"] = [{"to": [{"fqdn": "aws.example"}]}]
    with pytest.raises(EnvironmentFault, match="fqdn"):
        tried(objects)
