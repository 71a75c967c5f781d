"""A pool divided between classes and teams: what Kueue is told, and what is refused."""

from typing import Any

import pytest

from components import GpuPool
from isthmus.core.errors import InputError
from tests.components.conftest import Engine, Made

ZONE, RACK, HOST = "topology.kubernetes.io/zone", "example.com/rack", "kubernetes.io/hostname"


def deploy(engine: Engine, *classes: dict[str, Any], **more: Any) -> None:
    sharing = {"classes": list(classes), **more.pop("sharing", {})} if classes else None
    arguments = {
        "name": "h100",
        "product": "NVIDIA-H100-80GB-HBM3",
        "nodes": 2,
        "gpus_per_node": 8,
        "classes": ["internal", "restricted"],
        **({"sharing": sharing} if sharing else {}),
        **more,
    }
    engine.deploy(GpuPool, "p", arguments)


def share(sensitivity: str, gpus: int, **more: Any) -> dict[str, Any]:
    return {"sensitivity": sensitivity, "gpus": gpus, **more}


def quotas(queue: Made) -> dict[str, dict[str, Any]]:
    (group,) = queue.spec["resourceGroups"]
    (flavor,) = group["flavors"]
    assert [resource["name"] for resource in flavor["resources"]] == group["coveredResources"]
    return {
        resource.pop("name"): resource for resource in [dict(resource) for resource in flavor["resources"]]
    }


def queues_by_name(engine: Engine, kind: str) -> dict[str, Made]:
    return {resource.meta["name"]: resource for resource in engine.all(kind)}


def test_each_class_has_a_queue_with_its_gpus_in_the_pools_cohort(engine: Engine) -> None:
    deploy(engine, share("internal", 10, weight=3), share("restricted", 6))
    queues = queues_by_name(engine, "ClusterQueue")
    assert set(queues) == {"h100-internal", "h100-restricted"}
    assert {queue.spec["cohortName"] for queue in queues.values()} == {"h100"}
    assert {name: quotas(queue)["nvidia.com/gpu"]["nominalQuota"] for name, queue in queues.items()} == {
        "h100-internal": 10,
        "h100-restricted": 6,
    }
    assert queues["h100-internal"].spec["fairSharing"] == {"weight": 3}
    assert queues["h100-restricted"].spec["namespaceSelector"] == {
        "matchLabels": {"isthmus.dev/class": "restricted"}
    }
    assert engine.only("Cohort").spec == {}, "what the classes have is all there is"


def test_restricted_gpus_are_not_borrowed_or_lent_by_default(engine: Engine) -> None:
    deploy(engine, share("internal", 10), share("restricted", 6))
    queues = queues_by_name(engine, "ClusterQueue")
    for quota in quotas(queues["h100-restricted"]).values():
        assert (quota["borrowingLimit"], quota["lendingLimit"]) in ((0, 0), ("0Gi", "0Gi"))
    for quota in quotas(queues["h100-internal"]).values():
        assert set(quota) == {"nominalQuota"}, "what is idle is there for all who may"


def test_a_limit_holds_for_the_cpus_and_the_memory_that_go_with_a_gpu(engine: Engine) -> None:
    deploy(engine, share("internal", 10, borrow=2, lend=4), share("restricted", 6, lend=1))
    queues = queues_by_name(engine, "ClusterQueue")
    quota = quotas(queues["h100-internal"])
    assert quota["nvidia.com/gpu"] == {"nominalQuota": 10, "borrowingLimit": 2, "lendingLimit": 4}
    assert quota["cpu"] == {"nominalQuota": 320, "borrowingLimit": 64, "lendingLimit": 128}
    assert quota["memory"]["borrowingLimit"] == "512Gi"
    assert quotas(queues["h100-restricted"])["nvidia.com/gpu"]["lendingLimit"] == 1


def test_a_queue_covers_what_groups_take_of_the_fabric_or_kueue_would_never_admit_one(engine: Engine) -> None:
    rdma = {"resource": "rdma/hca", "count": 2, "networks": []}
    deploy(
        engine,
        share("internal", 10, lend=1),
        share("restricted", 6),
        fabric={"rdma": rdma, "compute_domain": True},
    )
    quota = quotas(queues_by_name(engine, "ClusterQueue")["h100-internal"])
    assert quota["rdma/hca"] == {"nominalQuota": 20, "lendingLimit": 2}
    assert quota["nvidia.com/compute-domain-channel"] == {"nominalQuota": 10, "lendingLimit": 1}


def test_unassigned_gpus_belong_to_the_cohort(engine: Engine) -> None:
    deploy(engine, share("internal", 8), share("restricted", 6), reserved_gpus=1)
    assert quotas(engine.only("Cohort"))["nvidia.com/gpu"] == {"nominalQuota": 1}


def test_a_team_queue_is_in_the_cohort_of_its_class(engine: Engine) -> None:
    teams = [{"name": "pay", "gpus": 4, "borrow": 1, "weight": 2}, {"name": "kyc", "gpus": 3, "lend": 0}]
    deploy(engine, share("internal", 8, borrow=0, lend=2, teams=teams), share("restricted", 6))
    cohort = queues_by_name(engine, "Cohort")["h100-internal"]
    assert cohort.spec["parentName"] == "h100"
    assert quotas(cohort)["nvidia.com/gpu"] == {"nominalQuota": 1, "borrowingLimit": 0, "lendingLimit": 2}
    queues = queues_by_name(engine, "ClusterQueue")
    assert set(queues) == {"h100-internal-pay", "h100-internal-kyc", "h100-restricted"}
    pay, kyc = queues["h100-internal-pay"], queues["h100-internal-kyc"]
    assert pay.spec["cohortName"] == "h100-internal"
    assert pay.spec["fairSharing"] == {"weight": 2}
    assert quotas(pay)["nvidia.com/gpu"] == {"nominalQuota": 4, "borrowingLimit": 1}
    assert quotas(kyc)["nvidia.com/gpu"] == {"nominalQuota": 3, "lendingLimit": 0}
    cluster_queues = {
        (m.meta["namespace"], m.meta["name"]): m.spec["clusterQueue"] for m in engine.all("LocalQueue")
    }
    assert cluster_queues == {
        ("isthmus-internal", "h100-pay"): "h100-internal-pay",
        ("isthmus-internal", "h100-kyc"): "h100-internal-kyc",
        ("isthmus-restricted", "h100"): "h100-restricted",
    }


def test_slices_and_shares_of_gpus_stay_with_their_class(engine: Engine) -> None:
    deploy(engine, share("internal", 8, devices={"nvidia.com/gpu.shared": 16}), share("restricted", 6))
    quota = quotas(queues_by_name(engine, "ClusterQueue")["h100-internal"])
    assert quota["nvidia.com/gpu.shared"] == {"nominalQuota": 16, "borrowingLimit": 0, "lendingLimit": 0}
    assert quota["nvidia.com/gpu"] == {"nominalQuota": 8, "lendingLimit": 8}
    assert quota["cpu"]["lendingLimit"] == 8 * 32, "the shares' own CPUs are not lent"
    assert quota["cpu"]["nominalQuota"] == (8 + 16) * 32


def test_lenders_reclaim_gpus_and_no_other_pod_is_evicted_by_default(engine: Engine) -> None:
    deploy(engine, share("internal", 8), share("restricted", 6))
    for cluster_queue in engine.all("ClusterQueue"):
        assert cluster_queue.spec["preemption"] == {
            "withinClusterQueue": "Never",
            "reclaimWithinCohort": "Any",
        }


def test_preemption_follows_the_settings(engine: Engine) -> None:
    preemption = {
        "within_queue": "lower-priority",
        "reclaim": "lower-priority",
        "borrowing": "lower-priority",
    }
    deploy(engine, share("internal", 8), share("restricted", 6), sharing={"preemption": preemption})
    assert engine.all("ClusterQueue")[0].spec["preemption"] == {
        "withinClusterQueue": "LowerPriority",
        "reclaimWithinCohort": "LowerPriority",
        "borrowWithinCohort": {"policy": "LowerPriority"},
    }


def test_a_pool_may_have_priorities_of_its_own(engine: Engine) -> None:
    batch = {"priorities": [{"name": "batch", "value": 10}]}
    deploy(engine, share("internal", 8), share("restricted", 6), sharing=batch)
    priorities = {
        workload_priority_class.meta["name"]: workload_priority_class.inputs["value"]
        for workload_priority_class in engine.all("WorkloadPriorityClass")
    }
    assert priorities == {"h100-internal": 2000, "h100-restricted": 4000, "h100-batch": 10}


def test_a_local_queue_with_another_target_is_replaced(engine: Engine) -> None:
    deploy(engine)
    before = {local_queue.meta["name"]: local_queue.spec for local_queue in engine.all("LocalQueue")}
    assert before == {"h100": {"clusterQueue": "h100"}}
    assert not engine.all("Cohort"), "without shares there is no cohort"


@pytest.mark.parametrize(
    ("shares", "more", "message"),
    [
        ([("internal", 12), ("restricted", 6)], {}, "have 18 GPUs of pool 'h100', but only 16 are given out"),
        ([("internal", 12), ("restricted", 4)], {"reserved_gpus": 1}, "but only 15 are given out whole"),
        ([("internal", 8)], {}, "class restricted has no share"),
        ([("internal", 4), ("internal", 4), ("restricted", 4)], {}, "class internal is listed twice"),
        ([("internl", 8)], {}, "'internl' is not known"),
        ([("internal", 8), ("restricted", 6)], {"kueue": "off"}, "without Kueue nothing enforces the shares"),
        (
            [("internal", 8), ("restricted", 6)],
            {"sharing": {"preemption": {"reclaim": "sometimes"}}},
            "'sometimes' is not known",
        ),
        (
            [("internal", 8), ("restricted", 6)],
            {"sharing": {"preemption": {"reclaim": "never", "borrowing": "lower-priority"}}},
            "`reclaim` is never",
        ),
    ],
)
def test_shares_that_cannot_be_are_refused(
    engine: Engine, shares: list[tuple[str, int]], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        deploy(engine, *[share(sensitivity, gpus) for sensitivity, gpus in shares], **more)
    assert not engine.all("ClusterQueue"), "it is refused before anything that would give GPUs out"


def test_teams_have_no_more_than_their_class(engine: Engine) -> None:
    teams = [{"name": "pay", "gpus": 5}, {"name": "kyc", "gpus": 5}]
    with pytest.raises(InputError, match="have 10 GPUs, but the class only has 8"):
        deploy(engine, share("internal", 8, teams=teams), share("restricted", 6))


def test_a_topology_is_the_flavors(engine: Engine) -> None:
    deploy(engine, topology={"levels": [ZONE, RACK, HOST], "required": RACK})
    assert engine.only("Topology").spec == {"levels": [{"nodeLabel": label} for label in (ZONE, RACK, HOST)]}
    flavor = engine.only("ResourceFlavor")
    assert flavor.spec["topologyName"] == engine.only("Topology").meta["name"] == "h100"
    before = {"p-topology", "p-nodes", "p-gpu-operator"}
    assert set(flavor.depends_on) == before, "Kueue refuses a flavor whose topology is not there"


@pytest.mark.parametrize(
    ("topology", "more", "message"),
    [
        ({"levels": [HOST, ZONE]}, {}, "hostname` only at the end"),
        ({"levels": [ZONE, ZONE]}, {}, "must be distinct node labels"),
        ({"levels": []}, {}, "must be distinct node labels"),
        ({"levels": [ZONE, HOST], "required": RACK}, {}, "'example.com/rack' is not known"),
        ({"levels": [ZONE, HOST], "required": ZONE, "preferred": ZONE}, {}, "are both set"),
        ({"levels": [ZONE, HOST]}, {"kueue": "off"}, "Kueue is off"),
    ],
)
def test_a_topology_that_kueue_would_refuse_is_refused(
    engine: Engine, topology: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        deploy(engine, topology=topology, **more)
