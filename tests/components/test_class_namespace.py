"""The namespace of a class."""

from typing import Any

import pytest

from components import ClassNamespace
from isthmus.core.errors import InputError
from tests.components.conftest import Engine
from tests.components.platforms import CLOSED


def deploy(engine: Engine, sensitivity: str, **more: Any) -> None:
    engine.deploy(ClassNamespace, "n", {"sensitivity": sensitivity, **more})


def test_a_namespace_bears_its_class_and_the_restricted_standard(engine: Engine) -> None:
    deploy(engine, "internal")
    namespace = engine.only("Namespace")
    assert namespace.meta["name"] == "isthmus-internal"
    assert namespace.meta["labels"]["isthmus.dev/class"] == "internal"
    for mode in ("enforce", "audit", "warn"):
        assert namespace.meta["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_nothing_goes_in_or_out_by_default(engine: Engine) -> None:
    deploy(engine, "internal")
    deny = engine.only("NetworkPolicy", "n-default-deny").spec
    assert deny == CLOSED


def test_a_restricted_namespace_asks_the_sites_resolvers_only(engine: Engine) -> None:
    deploy(engine, "restricted", resolvers=["10.40.0.53", "10.40.0.54"])
    egress = engine.only("NetworkPolicy", "n-dns").spec["egress"]
    assert [rule["to"] for rule in egress] == [
        [{"ipBlock": {"cidr": "10.40.0.53/32"}}],
        [{"ipBlock": {"cidr": "10.40.0.54/32"}}],
    ]
    assert all({port["port"] for port in rule["ports"]} == {53} for rule in egress)


def test_a_restricted_namespace_without_resolvers_has_no_dns(engine: Engine) -> None:
    deploy(engine, "restricted")
    assert [network_policy.name for network_policy in engine.all("NetworkPolicy")] == ["n-default-deny"]


def test_other_classes_ask_the_clusters_dns(engine: Engine) -> None:
    deploy(engine, "public", resolvers=["10.40.0.53"])
    (rule,) = engine.only("NetworkPolicy", "n-dns").spec["egress"]
    (to,) = rule["to"]
    assert to["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kube-system"}


def test_a_model_server_has_no_dns(engine: Engine) -> None:
    deploy(engine, "confidential")
    (term,) = engine.only("NetworkPolicy", "n-dns").spec["podSelector"]["matchExpressions"]
    assert "model" not in term["values"]


def test_a_namespace_has_a_quota_and_limits(engine: Engine) -> None:
    deploy(engine, "internal", quota={"requests.nvidia.com/gpu": "4"})
    assert engine.only("ResourceQuota").spec["hard"] == {"pods": "100", "requests.nvidia.com/gpu": "4"}
    (limit,) = engine.only("LimitRange").spec["limits"]
    assert limit["default"]["memory"]


def test_objects_in_a_namespace_wait_for_it(engine: Engine) -> None:
    deploy(engine, "internal")
    for resource in engine.made:
        if resource.kind != "Namespace":
            assert "n-namespace" in resource.depends_on, resource.name


def test_a_resolver_is_an_address(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"dns\.bank"):
        deploy(engine, "restricted", resolvers=["dns.bank"])
