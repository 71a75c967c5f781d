"""Settings of GPU pools: quotas add up, no pod waits forever, and no GPU serves two classes."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.lookups import slicing as platform_slicing
from isthmus.contracts.platform.lookups.pools import failure_domain_label
from isthmus.contracts.platform.migration.capacity import built_endpoints, plan_move
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core import yaml_documents, yaml_files
from isthmus.core.errors import InputError, Refused
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse, refused

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
NODES = ["l40s-0", "l40s-1"]
CHART = {"chart": "oci://registry.bank.example/charts/gpu-operator", "version": "v26.7.0"}
BROUGHT = {**CHART, "driver": "host", "driver_version": "595.91.07"}


class Bank:
    """The bank's platform, to be changed: pool `h100` has 16 GPUs, restricted asks for 8; `l40s` 8, confidential 6."""

    def __init__(self) -> None:
        self.data = platform_data()
        self.h100, self.l40s = self.data["pools"]
        self.restricted, self.confidential = self.data["endpoints"][:2]

    def both_on_h100(self) -> None:
        """The confidential endpoint's six GPUs beside the restricted one's eight."""
        self.confidential["pool"] = "h100"

    def shares(self, pool: dict[str, Any], *classes: dict[str, Any], **more: Any) -> None:
        pool["sharing"] = {"classes": list(classes), **more}

    def shared_gpus(self, *nodes: str, **more: Any) -> None:
        self.l40s["node_names"] = list(NODES)
        self.l40s["time_slicing"] = {"class": "confidential", "replicas": 4, "nodes": list(nodes), **more}
        self.confidential |= {"time_sliced": True, "gpu_memory_utilization": 0.2, "survive": "replica"}

    def one_group(self, **more: Any) -> None:
        """The restricted endpoint as one group over two machines."""
        group = {"tensor_parallel": 8, "nodes_per_replica": 2, "replicas": 1, "gpus": 16, "survive": "none"}
        self.restricted |= group | more

    def parsed(self) -> Platform:
        return yaml_files.parse(CheckedPlatform, yaml_documents.Document(self.data, "platform"))

    def refused(self, kind: type[Exception] = InputError) -> str:
        with pytest.raises(kind) as caught:
            self.parsed()
        return str(caught.value)


def share(sensitivity: str, gpus: int, **more: Any) -> dict[str, Any]:
    return {"class": sensitivity, "gpus": gpus, **more}


@pytest.fixture
def bank() -> Bank:
    return Bank()


def test_every_class_may_have_a_share_of_a_pool(bank: Bank) -> None:
    bank.both_on_h100()
    bank.shares(bank.h100, share("restricted", 8), share("confidential", 8))
    assert bank.parsed().pools[0].sharing


def test_a_class_with_too_small_a_share_may_borrow_what_others_lend(bank: Bank) -> None:
    bank.both_on_h100()
    bank.shares(bank.h100, share("restricted", 10, lend=2), share("confidential", 4))
    assert bank.parsed()


def test_gpus_without_a_class_can_be_borrowed(bank: Bank) -> None:
    bank.both_on_h100()
    bank.shares(bank.h100, share("restricted", 8), share("confidential", 0))
    assert bank.parsed()


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        (
            [share("restricted", 12), share("confidential", 8)],
            "the classes have 20 GPUs, but pool h100 has 16 to share",
        ),
        ([share("restricted", 8)], "class confidential of endpoint confidential-llama-8b has no share"),
        ([share("restricted", 8), share("restricted", 8)], "appears twice"),
        (
            [share("restricted", 4), share("confidential", 12)],
            "the endpoints of class restricted need 8 GPUs of pool h100: 4 more",
        ),
        (
            [share("restricted", 12), share("confidential", 4)],
            "the endpoints on pool h100 need to borrow 2 GPUs (confidential 2),",
        ),
        (
            [share("restricted", 12, lend=1), share("confidential", 4)],
            "the endpoints on pool h100 need to borrow 2 GPUs (confidential 2),",
        ),
        (
            [share("restricted", 12, lend=4), share("confidential", 4, borrow=1)],
            "the endpoints of class confidential need 6 GPUs of pool h100: 2 more",
        ),
    ],
)
def test_an_endpoint_that_needs_gpus_nobody_lends_is_refused(
    bank: Bank, shares: list[Any], message: str
) -> None:
    bank.both_on_h100()
    bank.shares(bank.h100, *shares)
    assert message in bank.refused()


def test_a_share_needs_kueue(bank: Bank) -> None:
    bank.shares(bank.h100, share("restricted", 8))
    bank.data["operators"] = {"kueue": "off"}
    assert "pool h100 has `sharing`, but operators.kueue is off" in bank.refused()


def test_borrowers_may_not_evict_where_lenders_may_not(bank: Bank) -> None:
    preemption = {"borrowing": "lower-priority", "reclaim": "never"}
    bank.shares(bank.h100, share("restricted", 8), preemption=preemption)
    assert "preemption.borrowing evicts workloads, but preemption.reclaim is never" in bank.refused()


def test_an_endpoint_may_name_its_team_and_a_priority(bank: Bank) -> None:
    teams = [{"name": "fraud", "gpus": 8}, {"name": "aml", "gpus": 4}]
    bank.shares(
        bank.h100, share("restricted", 12, teams=teams), priorities=[{"name": "urgent", "value": 5000}]
    )
    bank.restricted |= {"team": "fraud", "priority": "urgent"}
    assert bank.parsed()


@pytest.mark.parametrize(
    ("teams", "endpoint", "message"),
    [
        (
            [{"name": "fraud", "gpus": 8}],
            {},
            "endpoint restricted-llama-70b has no team, but class restricted is",
        ),
        (
            [{"name": "fraud", "gpus": 8}],
            {"team": "frau"},
            "class restricted has no team `frau` on pool h100",
        ),
        (
            [{"name": "fraud", "gpus": 8}],
            {"team": "fraud", "priority": "urgent"},
            "pool h100 has no priority `urgent`",
        ),
        (
            [{"name": "fraud", "gpus": 13}],
            {"team": "fraud"},
            "the teams of class restricted have 13 GPUs, but the class has 12",
        ),
        (
            [{"name": "fraud", "gpus": 6, "borrow": 1}],
            {"team": "fraud"},
            "the endpoints of team fraud need 8 GPUs, but the team has 6 and may",
        ),
        (
            [{"name": "fraud", "gpus": 0}, {"name": "aml", "gpus": 12, "lend": 4}],
            {"team": "fraud"},
            "the endpoints of class restricted need 8 GPUs of pool h100: 4 more",
        ),
        ([{"name": "f" * 40, "gpus": 8}], {"team": "f" * 40}, ""),
        ([{"name": "fraud", "gpus": 4}, {"name": "fraud", "gpus": 4}], {"team": "fraud"}, "fraud"),
    ],
)
def test_the_queue_of_a_team_must_exist_and_be_large_enough(
    bank: Bank, teams: list[Any], endpoint: dict[str, Any], message: str
) -> None:
    bank.shares(bank.h100, share("restricted", 12, teams=teams))
    bank.restricted |= endpoint
    if not message:
        bank.h100["name"] = bank.restricted["pool"] = "h" * 30
        message = "platform"
    assert message in bank.refused()


def test_a_team_without_shares_is_refused(bank: Bank) -> None:
    bank.restricted["team"] = "fraud"
    assert "endpoint restricted-llama-70b has `team`, but its pool has no" in bank.refused()


def test_a_priority_may_not_have_the_name_of_a_class(bank: Bank) -> None:
    bank.shares(bank.h100, share("restricted", 8), priorities=[{"name": "public", "value": 1}])
    assert "the priority `public` has the name of a class, which has a priority" in bank.refused()


def test_a_queue_name_longer_than_a_label_is_refused(bank: Bank) -> None:
    bank.h100["name"] = bank.restricted["pool"] = "h" * 30
    bank.shares(bank.h100, share("restricted", 8), priorities=[{"name": "p" * 33, "value": 1}])
    assert "the queue " in bank.refused()


def test_kueue_may_place_a_group_by_topology(bank: Bank) -> None:
    bank.one_group()
    bank.h100["topology"] = {"levels": [ZONE, HOST], "preferred": ZONE}
    assert bank.parsed()


@pytest.mark.parametrize(
    ("topology", "endpoint", "message"),
    [
        ({"levels": [HOST, ZONE]}, {}, "`kubernetes.io/hostname` must be the last level"),
        ({"levels": [ZONE, ZONE]}, {}, "appears twice"),
        (
            {"levels": [ZONE, HOST], "required": "example.com/rack"},
            {},
            "`required` is `example.com/rack`, which is not in `levels`",
        ),
        (
            {"levels": [ZONE, HOST], "required": ZONE, "preferred": ZONE},
            {},
            "`required` and `preferred` are both set",
        ),
        (
            {"levels": [ZONE, HOST], "required": HOST},
            {},
            "a replica that spans several nodes cannot be placed on one node",
        ),
        (
            {"levels": [ZONE]},
            {"tensor_parallel": 4, "replicas": 2, "nodes_per_replica": 1, "gpus": 8, "survive": "domain"},
            "endpoint restricted-llama-70b must be spread to survive the loss of",
        ),
        (
            {"levels": [ZONE]},
            {"tensor_parallel": 4, "gpus": 8},
            "Kueue could place two pods of one replica of restricted-lla",
        ),
    ],
)
def test_an_invalid_topology_or_one_that_conflicts_with_the_endpoint_is_refused(
    bank: Bank, topology: dict[str, Any], endpoint: dict[str, Any], message: str
) -> None:
    bank.one_group(**endpoint)
    bank.h100["topology"] = topology
    assert message in bank.refused()


def test_a_topology_needs_kueue(bank: Bank) -> None:
    bank.one_group()
    bank.h100["topology"] = {"levels": [ZONE]}
    bank.data["operators"] = {"kueue": "off"}
    assert "pool h100 has `topology`, but operators.kueue is off" in bank.refused()


def test_shared_gpus_are_counted_separately_from_whole_ones(bank: Bank) -> None:
    bank.shared_gpus("l40s-1")
    platform = bank.parsed()
    pool = platform.pools[1]
    assert (platform_slicing.free_whole_gpus(pool), platform_slicing.shares(pool)) == ([4, 0], 16)
    assert platform_slicing.whole_gpus(platform, pool) == 4


@pytest.mark.parametrize(
    ("nodes", "endpoint", "pool", "message"),
    [
        (["l40s-2"], {}, {}, "`l40s-2` is not in node_names of pool l40s"),
        (["l40s-1", "l40s-1"], {}, {}, "appears twice"),
        (
            ["l40s-1"],
            {"tensor_parallel": 2, "gpus": 12},
            {},
            "tensor_parallel is 2, but a time-sliced replica uses exactly one share",
        ),
        (
            ["l40s-1"],
            {"gpu_memory_utilization": 0.25},
            {},
            "4 replicas share a GPU, but one of confidential-llama-8b uses 0.25 of",
        ),
        (
            ["l40s-1"],
            {"gpu_memory_utilization": None},
            {},
            "4 replicas share a GPU, but one of confidential-llama-8b uses nearly",
        ),
        (
            ["l40s-1"],
            {"survive": "node"},
            {},
            "endpoint confidential-llama-8b must survive the loss of a node, but",
        ),
        (
            ["l40s-1"],
            {"survive": "domain"},
            {},
            "endpoint confidential-llama-8b must survive the loss of a domain, but",
        ),
        (
            ["l40s-1"],
            {"replicas": 17, "gpus": 17},
            {},
            "17 replicas need shares of GPUs, but pool l40s has 16",
        ),
        (
            ["l40s-1"],
            {"surge": True},
            {"reserved_gpus": 1},
            "`surge` is not possible on time-sliced GPUs, because a pool reserves",
        ),
        (["l40s-1"], {}, {"reserved_gpus": 5}, "reserves 5 GPUs"),
    ],
)
def test_impossible_shares_of_gpus_are_refused(
    bank: Bank, nodes: list[str], endpoint: dict[str, Any], pool: dict[str, Any], message: str
) -> None:
    bank.shared_gpus(*nodes)
    bank.confidential |= endpoint
    bank.l40s |= pool
    assert message in bank.refused()


def test_no_gpu_is_shared_by_two_classes(bank: Bank) -> None:
    bank.shared_gpus("l40s-1", **{"class": "internal"})
    message = bank.refused(Refused)
    assert "the shared GPUs of pool l40s serve class internal, and endpoint" in message


def test_an_endpoint_on_shared_gpus_needs_a_pool_with_sharing(bank: Bank) -> None:
    bank.confidential |= {"time_sliced": True, "gpu_memory_utilization": 0.2}
    assert "endpoint confidential-llama-8b has `time_sliced`, but its pool has no" in bank.refused()


def test_a_pool_with_both_mig_and_gpu_sharing_is_refused(bank: Bank) -> None:
    bank.h100["node_names"] = ["h100-0", "h100-1"]
    bank.h100["mig"] = [{"class": "confidential", "profile": "1g.10gb", "gpus": 1}]
    bank.confidential |= {"pool": "h100", "mig_profile": "1g.10gb", "survive": "replica"}
    bank.h100["time_slicing"] = {"class": "restricted", "replicas": 2, "nodes": ["h100-1"]}
    assert "pool h100 has both `mig` and `time_slicing`, which the device plugin" in bank.refused()


def test_a_migration_counts_shared_and_whole_gpus_separately(bank: Bank) -> None:
    bank.shared_gpus("l40s-1")
    stood = [endpoint.model_copy(update={"id": "older"}) for endpoint in built_endpoints(bank.parsed())[1:]]
    assert stood[0].time_sliced
    assert not plan_move(stood, bank.parsed()).first, "twelve shares of sixteen: both have room"
    bank.confidential |= {"replicas": 11, "gpus": 11}
    assert plan_move(stood, bank.parsed()).first, "seventeen of sixteen"


def drivers(bank: Bank, **driver: Any) -> None:
    for pool in (bank.h100, bank.l40s):
        pool["driver"] = {"version": "595.91.07", **driver}


def test_every_pool_may_name_its_driver(bank: Bank) -> None:
    drivers(bank, upgrade={"drain": {"enable": True, "delete_empty_dir": True}})
    assert bank.parsed()


def test_if_one_pool_of_a_site_has_a_driver_all_pools_need_one(bank: Bank) -> None:
    drivers(bank)
    del bank.l40s["driver"]
    assert "pool l40s has no `driver`, but another pool at fra1 has one" in bank.refused()


@pytest.mark.parametrize(
    ("driver", "message"),
    [
        ({"precompiled": True}, "`595.91.07` is a full version, but precompiled drivers need a branch"),
        ({"version": "595"}, "`595` is a branch, which only precompiled drivers can use"),
        ({"version": "v595.91.07"}, "version"),
        ({"upgrade": {"max_unavailable": "150%"}}, "max_unavailable"),
        (
            {"upgrade": {"drain": {"enable": True}}},
            "no node could be drained: every model server has an emptyDir volume",
        ),
    ],
)
def test_an_impossible_driver_is_refused(bank: Bank, driver: dict[str, Any], message: str) -> None:
    drivers(bank, **driver)
    assert message in bank.refused()


def test_a_driver_needs_the_gpu_operator(bank: Bank) -> None:
    drivers(bank)
    bank.data["operators"] = {"gpu_operator": "off"}
    assert "pool h100 has `driver`, but operators.gpu_operator is off" in bank.refused()


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        ({"gpu_operator": "manage"}, "gpu_operator is `manage`, but no chart is known"),
        (
            {"gpu_operator": "manage", "gpu_operator_release": {"chart": CHART["chart"]}},
            "the chart oci://registry.bank.example/charts/gpu-operator has no",
        ),
        ({"gpu_operator_release": CHART}, "gpu_operator_release is set, but gpu_operator is `existing`"),
        (
            {
                "gpu_operator": "manage",
                "gpu_operator_release": BROUGHT,
            },
            "driver is `host`, but the release sets a driver version",
        ),
    ],
)
def test_a_managed_gpu_operator_needs_one_pinned_chart(
    bank: Bank, operators: dict[str, Any], message: str
) -> None:
    bank.data["operators"] = operators
    assert message in bank.refused()


def test_an_error_names_the_full_path_even_if_the_file_lacks_its_parents(bank: Bank) -> None:
    bank.data["operators"] = {"gpu_operator": "manage"}
    assert "platform operators.gpu_operator_release.chart: gpu_operator is" in bank.refused()


def test_a_managed_gpu_operator_may_use_the_drivers_of_the_nodes(bank: Bank) -> None:
    bank.data["operators"] = {"gpu_operator": "manage", "gpu_operator_release": CHART | {"driver": "host"}}
    assert bank.parsed()


def test_dynamic_resource_allocation_supports_whole_gpus_only(bank: Bank) -> None:
    bank.h100["allocation"] = "dra"
    assert bank.parsed()
    bank.shared_gpus("l40s-1")
    bank.l40s["allocation"] = "dra"
    assert "pool l40s has `allocation: dra`, which supports whole GPUs only, but" in bank.refused()


def fabric(bank: Bank, *networks: tuple[str, str]) -> None:
    listed = [{"class": sensitivity, "network": network} for sensitivity, network in networks]
    bank.h100["fabric"] = {"rdma": {"resource": "rdma/hca", "networks": listed}}


def test_a_replica_group_uses_the_fabric_of_its_class(bank: Bank) -> None:
    bank.one_group()
    fabric(bank, ("restricted", "fabric/restricted"), ("internal", "fabric/internal"))
    assert bank.parsed()


def test_two_classes_that_share_an_rdma_network_are_refused(bank: Bank) -> None:
    bank.one_group()
    fabric(bank, ("restricted", "fabric/all"), ("internal", "fabric/all"))
    assert "classes restricted and internal share the RDMA network `fabric/all`," in bank.refused(Refused)


@pytest.mark.parametrize(
    ("networks", "groups", "message"),
    [
        (
            [("internal", "fabric/internal")],
            True,
            "endpoint restricted-llama-70b has no RDMA network for class restricted",
        ),
        (
            [("restricted", "a"), ("restricted", "b")],
            True,
            "appears twice",
        ),
        ([("restricted", "a")], False, "pool h100 has `fabric`, but no endpoint spans several nodes"),
    ],
)
def test_an_unusable_fabric_is_refused(
    bank: Bank, networks: list[tuple[str, str]], groups: bool, message: str
) -> None:
    if groups:
        bank.one_group()
    fabric(bank, *networks)
    assert message in bank.refused()


def test_a_pod_larger_than_every_node_of_its_pool_is_refused() -> None:
    def change(data: dict[str, Any]) -> None:
        data["pools"][1]["cpus_per_node"] = 16
        data["endpoints"][1]["cpu"] = "16"

    message = refused(InputError, change)
    assert "a pod of endpoint confidential-llama-8b needs 16 CPUs and 1 for its si" in message


def bare_metal(data: dict[str, Any]) -> None:
    """One failure domain at every on-prem site, as on machines that nobody labelled."""
    on_prem = {site["name"] for site in data["sites"] if site["kind"] == "on-prem"}
    for pool in data["pools"]:
        if pool["site"] in on_prem:
            pool["failure_domains"] = 1
    for endpoint in data["endpoints"]:
        if endpoint.get("survive") == "domain":
            endpoint["survive"] = "node"


def test_pods_are_spread_over_nodes_on_bare_metal_and_over_zones_elsewhere():
    data = platform_data()
    assert failure_domain_label(parse(data), "fra1") == "topology.kubernetes.io/zone", (
        "two domains are stated"
    )
    assert failure_domain_label(parse(data), "frankfurt") == "topology.kubernetes.io/zone"
    bare_metal(data)
    assert failure_domain_label(parse(data), "fra1") == "kubernetes.io/hostname"
    next(site for site in data["sites"] if site["name"] == "fra1")["failure_domain_label"] = (
        "bank.example/rack"
    )
    assert failure_domain_label(parse(data), "fra1") == "bank.example/rack"


def test_survival_of_a_domain_loss_is_refused_if_each_node_is_a_domain():
    def change(data: dict[str, Any]) -> None:
        site = next(site for site in data["sites"] if site["name"] == "fra1")
        site["failure_domain_label"] = "kubernetes.io/hostname"
        endpoint = next(
            endpoint for endpoint in data["endpoints"] if endpoint["site"] == "fra1" and endpoint.get("pool")
        )
        pool = next(pool for pool in data["pools"] if pool["name"] == endpoint["pool"])
        pool["failure_domains"] = 2
        endpoint["survive"] = "domain"

    message = refused(InputError, change)
    assert "endpoint restricted-llama-70b must survive the loss of a failure" in message
    assert "endpoint restricted-llama-70b must survive the loss of a failure" in message
