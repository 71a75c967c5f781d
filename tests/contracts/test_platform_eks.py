"""EKS clusters and their nodes: what is refused before any call to AWS."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from isthmus.contracts.hardware import aws_instances as instances
from isthmus.contracts.hardware.system_nodes import nodes_by_zone
from isthmus.contracts.plan import aws_machines
from isthmus.contracts.platform.lookups.aws import (
    kubernetes_sites,
    provider_key,
    sites_with_known_api_server,
)
from isthmus.contracts.platform.model.aws.eks import Cluster
from isthmus.contracts.platform.model.platform import Gateway, Identity
from isthmus.contracts.platform.rules.aws import eks as eks_rules
from isthmus.core.errors import FieldError, InputError, Refused
from isthmus.planning.catalogues import aws_instances as priced
from tests import private
from tests.contracts import test_platform_model
from tests.contracts.test_platform_model import parse
from tests.policies.making import platform_with

Change = Callable[[dict[str, Any]], object]


refused = functools.partial(test_platform_model.refused, make_data=private.data)


def cluster(**values: Any) -> Change:
    return lambda data: data["clusters"][0].update(values)


def pool(**values: Any) -> Change:
    return lambda data: data["pools"][0].update(values)


def group(**values: Any) -> Change:
    return lambda data: data["pools"][0]["node_group"].update(values)


def managed_operator(**release: Any) -> Change:
    values = {"chart": "oci://registry.example/gpu-operator", "version": "v25.10.0", **release}
    return lambda data: data.update(
        operators={
            "gpu_operator": "manage",
            "gpu_operator_release": {**values, "digest": f"sha256:{'a' * 64}"},
        }
    )


def existing(data: dict[str, Any]) -> None:
    """The organisation's cluster, reached by a context, with machines of its own."""
    data["sites"][0]["kube_context"] = "eks-llm"
    data["clusters"][0] = {"name": "frankfurt", "site": "frankfurt", "mode": "existing", "eks_name": "llm"}
    del data["pools"][0]["node_group"]
    data["audit"][0]["address"] = "10.80.9.9"
    for gateway in data["gateways"]:
        sensitivity = gateway["class"]
        gateway["audit"] |= {
            "volume": f"records-{sensitivity}",
            "sealer_volume": f"records-{sensitivity}-sealer",
        }


def one_zone(data: dict[str, Any], **values: Any) -> None:
    data["pools"][0] |= {"failure_domains": 1}
    data["pools"][0]["node_group"] |= {"zones": ["eu-central-1a"], **values}
    data["endpoints"][0]["survive"] = "none"


def without_network(data: dict[str, Any]) -> None:
    """Nor anything that would need one by a rule of its own."""
    data["networks"] = []
    for part in ("endpoints", "gateways"):
        del data[part][1]
    data["identities"] = []


def one_domain(data: dict[str, Any]) -> None:
    data["pools"][0]["failure_domains"] = 1
    data["endpoints"][0]["survive"] = "node"


def test_a_platform_in_aws_alone_is_valid_and_its_cluster_has_a_provider_of_its_own():
    checked = parse(private.data())
    assert [provider_key(site) for site in kubernetes_sites(checked)] == ["frankfurt/kubernetes"]
    assert sites_with_known_api_server(checked) == [], "no context leads to a cluster that is made here"


def test_an_existing_cluster_is_reached_by_its_kubeconfig_context():
    data = private.data()
    existing(data)
    assert [site.kube_context for site in sites_with_known_api_server(parse(data))] == ["eks-llm"]
    del data["sites"][0]["kube_context"]
    with pytest.raises(
        InputError, match="site frankfurt has no kube_context for its existing cluster frankfurt"
    ):
        parse(data)


def test_a_platform_in_stage_cluster_deploys_nothing_into_the_cluster():
    data = private.data()
    data["clusters"][0]["stage"] = "cluster"
    assert kubernetes_sites(parse(data)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cluster(site="berlin"), "there is no site in AWS `berlin`"),
        (cluster(version=None), "cluster frankfurt has no version"),
        (cluster(admins=[]), "cluster frankfurt has no admins, so nobody could administer it"),
        (cluster(network="other"), "there is no network of frankfurt `other`"),
        (without_network, "cluster frankfurt needs one network at frankfurt, which has none"),
        (
            lambda d: d["clusters"].append({**d["clusters"][0], "name": "second"}),
            "two clusters, `frankfurt` and `second`",
        ),
        (cluster(service_cidr="10.80.128.0/20"), "overlaps `10.80.0.0/16` of its network"),
        (
            cluster(hybrid_nodes={"node_networks": ["10.40.8.0/24"], "role": private.ADMIN}),
            "`10.40.8.0/24` is not within an on-prem site",
        ),
        (lambda d: d.update(clusters=[]), "claims runs on Kubernetes at frankfurt, which has no cluster"),
        (pool(node_group=None), "pool frankfurt-claims has no node_group"),
        (pool(node_names=["a", "b"]), "pool frankfurt-claims has `node_names`, but EKS makes and replaces"),
        (
            pool(driver={"version": "580.82.07"}),
            "pool frankfurt-claims has `driver`, but its node image includes a",
        ),
        (managed_operator(), "the GPU Operator would install drivers on pool frankfurt-claims,"),
        (one_domain, "pool frankfurt-claims has 1 failure domains, but 2 zones"),
        (
            group(zones=["eu-central-1a", "eu-central-1c"]),
            "`eu-central-1c` is not a zone of network frankfurt",
        ),
        (group(instance_type="g6.48xlarge"), "a g6.48xlarge has 8 x l4-24gb"),
        (group(max_nodes=1), "outside min_nodes and max_nodes"),
        (group(purchase="capacity-block"), "pool frankfurt-claims has `purchase: capacity-block`, but no"),
        (group(reservation="cr-1"), "pool frankfurt-claims has a reservation, but `purchase: on-demand`"),
        (
            group(purchase="capacity-reservation", reservation="cr-1"),
            "a capacity-reservation is in one zone, but pool frankfurt-claims has",
        ),
        (
            lambda d: d["endpoints"][0].update(nodes_per_replica=2, gpus=8, survive="none", replicas=2),
            "endpoint claims has nodes_per_replica 2, but replicas in AWS run on",
        ),
        (lambda d: d["identities"][0].update(trust="frankfurt"), "is no trust"),
        (
            lambda d: d["identities"][0].update(certificate_secret="x"),
            "identity internal-frankfurt uses pod identity, which does not support",
        ),
    ],
)
def test_an_inconsistent_platform_is_refused_with_its_reason(change: Change, message: str):
    assert message in refused(InputError, change)


def test_a_gpu_operator_without_drivers_is_accepted():
    data = private.data()
    managed_operator(driver="host")(data)
    assert parse(data).operators.gpu_operator_release.driver == "host"


def test_spot_nodes_are_refused_for_endpoints_that_must_survive_a_loss():
    message = refused(Refused, group(purchase="spot"))
    assert "endpoint claims must survive the loss of a domain, but AWS may take" in message
    data = private.data()
    group(purchase="spot")(data)
    data["endpoints"][0]["survive"] = "none"
    assert parse(data).pools[0].node_group


def test_a_capacity_block_is_accepted_with_its_id_and_one_zone():
    data = private.data()
    one_zone(data, purchase="capacity-block", reservation="cr-0a1b2c3d4e5f67890")
    assert parse(data).pools[0].node_group


def test_an_api_server_that_is_open_beyond_the_sites_is_refused():
    message = refused(Refused, cluster(access=["52.94.0.0/16"]))
    assert "`52.94.0.0/16` in `access` of cluster frankfurt is public, and in no site's networks" in message


def test_a_runner_in_a_private_network_of_its_own_reaches_the_api_server():
    data = private.data()
    cluster(access=["10.90.0.0/24"])(data)
    assert parse(data).clusters[0].access == ["10.90.0.0/24"]


def test_a_cluster_in_a_network_without_its_classes_is_refused():
    message = refused(Refused, lambda d: d["networks"][0].update(classes=["internal"]))
    assert "claims is in network frankfurt, which does not carry class" in message


def test_confidential_work_on_eks_nodes_needs_a_trail():
    assert "the account of site frankfurt has no active trail, but work above" in refused(
        Refused, lambda d: d.update(trails=[])
    )


def test_a_pod_identity_needs_a_cluster_and_no_certificate_authority():
    def elsewhere(data: dict[str, Any]) -> None:
        existing(data)
        del data["clusters"][0]["eks_name"]

    assert "cluster frankfurt has no eks_name, which the sealer of gateway" in refused(InputError, elsewhere)
    assert not parse(private.data()).trust, "and no credential helper's image was asked for either"


def test_a_pod_identity_is_refused_for_gateways_at_another_site():
    identities = [
        {
            "name": name,
            "class": "internal",
            "site": site,
            "assumed_by": "eks-pod-identity",
            "endpoints": ["haiku"],
        }
        for name, site in (("internal-frankfurt", "frankfurt"), ("internal-paris", "paris"))
    ]
    at_home: dict[str, Any] = {"name": "internal", "site": "frankfurt", "identity": "internal-frankfurt"}

    def check(*gateways: dict[str, Any]) -> None:
        aws = platform_with(
            clusters=[Cluster(name=site, site=site, version="1.36") for site in ("frankfurt", "paris")],
            identities=[Identity.model_validate(identity) for identity in identities],
            gateways=[Gateway.model_construct(**gateway) for gateway in gateways],
        )
        eks_rules.pod_identities_have_a_cluster(aws)

    check(at_home, {"name": "second", "site": "paris", "identity": "internal-paris"})
    with pytest.raises(FieldError, match="gateway internal at frankfurt cannot use identity internal-paris"):
        check({**at_home, "identity": "internal-paris"})


def test_nodes_of_a_pool_are_spread_evenly_over_its_zones():
    assert nodes_by_zone(5, ["a", "b"]) == {"a": 3, "b": 2}


def test_contract_and_planner_use_the_same_table_of_instance_types():
    assert {
        instance.type: (instance.gpu, instance.gpus, instance.vcpus, instance.memory_gib)
        for instance in priced.all_instances()
    } == instances.INSTANCES


def test_a_replica_gets_its_share_of_a_node_after_the_system_reserve():
    assert aws_machines.replica_share(instances.INSTANCES["g6.12xlarge"], 2) == (22, 80)
    cpu, memory = aws_machines.replica_share(instances.INSTANCES["g6.xlarge"], 1)
    assert (cpu, memory) == (2, 12), "eight processors and 64 GiB would never have fitted"


def test_a_long_pool_name_is_shortened_and_stays_unique():
    long = [aws_machines._name("frankfurt", f"confidential-{'x' * 40}-{end}") for end in "ab"]
    assert len(set(long)) == 2
    assert all(len(name) <= 40 for name in long)


ELSEWHERE = "registry.insurer.example/llm/"


def images(prefix: str = ELSEWHERE, **names: str) -> Change:
    def change(data: dict[str, Any]) -> None:
        data["images"]["registries"].append(prefix)
        data["images"] |= {name: f"{prefix}{path}@{private.DIGEST}" for name, path in names.items()}

    return change


@pytest.mark.parametrize("name", ["edge", "translator", "detector", "vllm"])
def test_an_image_outside_ecr_is_refused_if_nodes_cannot_reach_its_registry(name: str):
    message = refused(InputError, images(**{name: name}))
    assert f"nodes of cluster frankfurt cannot pull `{ELSEWHERE}{name}@{private.DIGEST}`" in message
    assert "Mirror it to ACCOUNT.dkr.ecr.eu-central-1.amazonaws.com" in message


def test_an_image_of_ecr_in_another_region_is_refused_too():
    registry = private.ECR.replace("eu-central-1", "eu-west-1")
    assert "cannot pull" in refused(InputError, images(registry, edge="edge"))


def test_weights_from_a_registry_outside_ecr_are_refused_if_nodes_cannot_reach_it():
    uri = f"oci://{ELSEWHERE}qwen@{private.DIGEST}"

    def change(data: dict[str, Any]) -> None:
        data["endpoints"][0]["weights"]["uri"] = uri

    assert f"cannot pull `{uri.removeprefix('oci://')}`" in refused(InputError, change)


def test_an_internet_gateway_does_not_give_nodes_access_to_a_registry():
    def change(data: dict[str, Any]) -> None:
        images(edge="edge")(data)
        data["networks"][0] |= {"internet": True, "classes": ["public"]}
        for part in ("endpoints", "gateways"):
            data[part] = data[part][1:]
            data[part][0]["class"] = "public"
        data["pools"], data["identities"][0]["class"] = [], "public"

    assert "cannot pull" in refused(InputError, change)


def test_an_existing_network_may_reach_any_registry():
    data = private.data()
    images(edge="edge", translator="translator", detector="detector", vllm="vllm")(data)
    data["networks"][0] |= {
        **{"mode": "existing", "zones": [], "vpc": "vpc-1", "subnets": ["subnet-1", "subnet-2"]},
        "route_tables": ["rtb-1"],
    }
    data["audit"][0]["address"] = "10.80.9.9"
    parse(data)


def test_the_nodes_of_a_pool_may_equal_its_minimum_and_maximum():
    def pool_nodes(**limits: int) -> int:
        data = private.data()
        data["pools"][0]["node_group"].update(limits)
        return parse(data).pools[0].nodes

    assert pool_nodes(min_nodes=2, max_nodes=2) == 2
    for limits in ({"min_nodes": 3}, {"max_nodes": 1}):
        with pytest.raises(InputError, match="outside min_nodes and max_nodes"):
            pool_nodes(**limits)
