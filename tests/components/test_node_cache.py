"""Weights on the machines' own disks: one claim for all machines of the pool, filled on each of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from components import ModelServer
from components.serving.scaling_mapping import fetching_of
from components.sites.namespaces import namespace_args
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.migration import capacity as migration_capacity
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.errors import InputError
from tests import private
from tests.components.conftest import Engine
from tests.components.platforms import DIGEST
from tests.components.test_mig import on_slices
from tests.components.test_model_server import args
from tests.components.test_weight_cache import S3, STORE, TRANSLATOR, flags

HEX = DIGEST.removeprefix("sha256:")
MINE = f"/models/llama/{HEX}"
DISK = {"node_path": "/mnt/nvme/isthmus"}


def deploy(engine: Engine, weights: dict[str, Any] | None = None, **more: Any) -> None:
    weight_settings = {**S3, "cache": DISK, **(weights or {})}
    more |= {"engine": more.pop("runs_on", "gpu")}
    engine.deploy(
        ModelServer,
        "m",
        args(**{"pool": "h100", "fetch_image": TRANSLATOR, "weights": weight_settings, **more}),
    )


def built(weights: dict[str, Any] | None = None, **more: Any) -> Engine:
    engine = Engine()
    deploy(engine, weights, **more)
    return engine


def serving(engine: Engine) -> dict[str, Any]:
    return engine.only("Deployment", "m-server").pod


def test_the_volume_is_the_classs_folder_on_every_machine_of_the_pool_and_of_none_besides(
    engine: Engine,
) -> None:
    deploy(engine)
    spec = engine.only("PersistentVolume", "m-disks").spec
    assert spec["local"] == {"path": "/mnt/nvme/isthmus/restricted"}, "one folder a class"
    (term,) = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
    bound = {
        match_expression["key"]: match_expression["values"] for match_expression in term["matchExpressions"]
    }
    assert {key: [value] for key, value in serving(engine)["nodeSelector"].items()} == bound
    assert bound["isthmus.dev/pool"] == ["h100"]
    assert spec["persistentVolumeReclaimPolicy"] == "Retain"
    assert "hostPath" not in str([resource.inputs for resource in engine.made]), "Pod Security forbids it"


def test_claim_and_volume_are_bound_to_each_other(engine: Engine) -> None:
    deploy(engine)
    volume, claim = (
        engine.only("PersistentVolume", "m-disks"),
        engine.only("PersistentVolumeClaim", "m-cache"),
    )
    assert claim.spec["volumeName"] == volume.meta["name"]
    assert volume.spec["claimRef"]["namespace"] == claim.meta["namespace"] == "isthmus-restricted"
    assert volume.spec["claimRef"]["name"] == claim.meta["name"]
    assert volume.spec["storageClassName"] == claim.spec["storageClassName"] == ""
    assert volume.spec["capacity"] == claim.spec["resources"]["requests"] == {"storage": "300Gi"}
    assert "namespace" not in volume.meta


@pytest.mark.parametrize(
    ("weights", "more"),
    [
        ({"cache": {"node_path": "/mnt/other"}}, {}),
        ({"size_gib": 301}, {}),
        ({}, {"pool": "h200"}),
        ({}, {"product": "NVIDIA-H200"}),
        ({}, {"sensitivity": "internal"}),
        ({}, {"id": "qwen"}),
    ],
)
def test_immutable_objects_get_a_new_name_so_that_old_ones_stay_during_a_roll(
    weights: dict[str, Any], more: dict[str, Any]
) -> None:
    before, again, after = built(), built(), built(weights, **more)
    for kind, name in (("PersistentVolume", "m-disks"), ("PersistentVolumeClaim", "m-cache")):
        name_before, same, name_after = (run.only(kind, name).meta["name"] for run in (before, again, after))
        assert name_before == same
        assert name_before != name_after, kind


def test_other_weights_are_fetched_into_the_same_volume(engine: Engine) -> None:
    deploy(engine)
    other_weights = built({"digest": "sha256:" + "b" * 64})
    assert (
        other_weights.only("PersistentVolume", "m-disks").inputs
        == engine.only("PersistentVolume", "m-disks").inputs
    )
    assert other_weights.only("DaemonSet").meta["name"] == engine.only("DaemonSet").meta["name"], "it rolls"
    assert other_weights.only("DaemonSet").spec["template"] != engine.only("DaemonSet").spec["template"]


def test_each_machine_fetches_before_its_pod_is_ready_and_keeps_the_version_before(engine: Engine) -> None:
    deploy(engine)
    assert not engine.all("Job")
    pod = engine.only("DaemonSet").pod
    (fetch,), (stay,) = pod["initContainers"], pod["containers"]
    assert fetch["command"] == ["python", "-m", "edge.fetch"]
    assert flags(fetch)["keep"] == "2"
    assert fetch["args"][-1] == "/models/llama"
    assert "restartPolicy" not in fetch, "it must end, and well, before the pod is ready"
    assert stay["command"] == ["python", "-m", "edge.stay"]
    assert stay["image"] == fetch["image"] == TRANSLATOR
    assert {"name": "weights", "mountPath": "/models"} in fetch["volumeMounts"]


def test_the_programs_take_the_flags(engine: Engine, monkeypatch: Any) -> None:
    from edge import fetch, versions, weights

    deploy(engine)
    (box,) = engine.only("DaemonSet").pod["initContainers"]
    calls: dict[str, Any] = {}
    monkeypatch.setattr(fetch, "client", lambda *_: None)
    monkeypatch.setattr(fetch, "fetch", lambda *args: calls.update(folder=str(args[4])) or (1, 1))
    monkeypatch.setattr(versions, "sweep", lambda *_: None)
    monkeypatch.setattr(versions, "keep", lambda *args: calls.update(keep=args[1:]) or [])
    assert fetch.main(box["args"]) == 0
    assert calls == {"folder": "/models/llama", "keep": (HEX, 2)}
    monkeypatch.setattr(weights, "await_folder", lambda *args: calls.update(waited=args))
    monkeypatch.setattr(weights, "verify", lambda *args: calls.update(verified=str(args[0])) or (1, 1))
    verify = serving(engine)["initContainers"][0]
    assert weights.main([*verify["command"][3:], *verify["args"]]) == 0
    assert (str(calls["waited"][0]), calls["waited"][1], calls["verified"]) == (MINE, 1800, MINE)


def test_credentials_are_a_file_of_what_fetches_and_not_of_what_stays_or_serves(engine: Engine) -> None:
    deploy(engine, {"store": {**STORE, "ca_bundle": "ca"}})
    pod = engine.only("DaemonSet").pod
    (fetch,), (stay,) = pod["initContainers"], pod["containers"]
    assert "store" in [volume_mount["name"] for volume_mount in fetch["volumeMounts"]]
    assert "volumeMounts" not in stay
    assert all("env" not in box for box in (fetch, stay))
    assert "s3" not in [volume.get("secret", {}).get("secretName") for volume in serving(engine)["volumes"]]


def test_the_fetch_daemon_reaches_only_the_store(engine: Engine) -> None:
    deploy(engine)
    job = built({"cache": {"storage_class": "shared"}})
    for kind, name in (("NetworkPolicy", "m-fetch-network"), ("ServiceAccount", "m-fetch-account")):
        assert engine.only(kind, name).inputs == job.only(kind, name).inputs
    match_labels = engine.only("NetworkPolicy", "m-fetch-network").spec["podSelector"]["matchLabels"]
    spec = engine.only("DaemonSet").spec
    assert match_labels.items() <= spec["template"]["metadata"]["labels"].items()
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    pod, job_pod = spec["template"]["spec"], job.only("Job").pod
    same = ("dnsPolicy", "dnsConfig", "hostAliases", "serviceAccountName", "automountServiceAccountToken")
    assert {key: pod[key] for key in same} == {key: job_pod[key] for key in same}
    assert pod["securityContext"] == job_pod["securityContext"]


def test_the_fetch_daemon_runs_on_the_pool_without_a_queue(engine: Engine) -> None:
    deploy(engine, queue="h100-restricted", priority_class="h100-restricted")
    pod = engine.only("DaemonSet").pod
    assert pod["nodeSelector"] == serving(engine)["nodeSelector"]
    assert pod["tolerations"] == serving(engine)["tolerations"]
    labels = engine.only("DaemonSet").spec["template"]["metadata"]["labels"]
    assert not [key for key in labels if "kueue" in key]
    update = engine.only("DaemonSet").spec["updateStrategy"]["rollingUpdate"]
    assert update == {"maxUnavailable": "100%", "maxSurge": 0}


def test_pods_are_rolled_after_every_machine_has_them(engine: Engine) -> None:
    deploy(engine, load_timeout_s=600)
    assert "m-fetch" in engine.only("Deployment").depends_on
    assert (
        engine.only("DaemonSet").timeouts["create"] == engine.only("DaemonSet").timeouts["update"] == "720s"
    )
    assert {"m-cache", "m-fetch-network"} <= set(engine.only("DaemonSet").depends_on)
    assert "m-disks" in engine.only("PersistentVolumeClaim", "m-cache").depends_on


def test_pods_read_their_own_folder_of_the_classs_read_only(engine: Engine) -> None:
    deploy(
        engine,
        adapters=[{"name": "kyc", "rank": 16}, {"name": "aml", "rank": 8, "path": "lora/aml"}],
        speculative={"method": "eagle3", "tokens": 3, "path": "head"},
    )
    pod = serving(engine)
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "weights"]
    claim = engine.only("PersistentVolumeClaim", "m-cache").meta["name"]
    assert volume["persistentVolumeClaim"] == {"claimName": claim, "readOnly": True}
    verify, engine_box = pod["initContainers"][0], pod["containers"][0]
    for box in (verify, engine_box):
        (mount,) = [
            volume_mount for volume_mount in box["volumeMounts"] if volume_mount["mountPath"] == "/models"
        ]
        # With a subPath, kubelet would make the folder that is missing.
        assert mount == {"name": "weights", "mountPath": "/models", "readOnly": True}
    assert verify["args"] == [f"--digest={DIGEST}", "--wait=1800", MINE]
    arguments = engine_box["args"]
    assert arguments[0] == MINE
    assert f"kyc={MINE}/adapters/kyc" in " ".join(arguments)
    assert f"aml={MINE}/lora/aml" in " ".join(arguments)
    assert f'"model":"{MINE}/head"' in " ".join(arguments)


@pytest.mark.parametrize(
    "more",
    [
        {"mig_profile": "3g.40gb", "slices": "llama", "tensor_parallel": 1},
        {"time_sliced": True, "gpu_memory_utilization": 0.2, "tensor_parallel": 1},
        {"device_class": "isthmus-h100"},
    ],
)
def test_pods_with_slices_shares_or_claims_run_where_their_weights_are(
    engine: Engine, more: dict[str, Any]
) -> None:
    deploy(engine, **more)
    pod = serving(engine)
    assert engine.only("DaemonSet").pod["nodeSelector"] == pod["nodeSelector"]
    (term,) = engine.only("PersistentVolume", "m-disks").spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert {match_expression["key"] for match_expression in term["matchExpressions"]} == set(
        pod["nodeSelector"]
    )
    assert ("slices.isthmus.dev/llama" in pod["nodeSelector"]) == ("slices" in more)
    assert pod["containers"][0]["args"][0] == MINE
    assert "resourceClaims" not in engine.only("DaemonSet").pod, "it takes no GPU"
    assert "gpu" not in str(engine.only("DaemonSet").pod["initContainers"][0]["resources"])


def test_every_pod_of_a_group_reads_its_machines_disk(engine: Engine) -> None:
    deploy(engine, nodes_per_replica=2)
    template = engine.only("LeaderWorkerSet").spec["leaderWorkerTemplate"]
    claim = engine.only("PersistentVolumeClaim", "m-cache").meta["name"]
    for part in ("leaderTemplate", "workerTemplate"):
        spec = template[part]["spec"]
        assert {"claimName": claim, "readOnly": True} in [
            volume.get("persistentVolumeClaim") for volume in spec["volumes"]
        ]
        assert spec["containers"][0]["args"][0] == MINE
        assert spec["initContainers"][0]["args"][-2:] == ["--wait=1800", MINE]
    assert "m-fetch" in engine.only("LeaderWorkerSet").depends_on


@pytest.mark.parametrize(
    ("weights", "more", "message"),
    [
        ({"cache": {}}, {}, "neither storage_class nor node_path"),
        ({"cache": {**DISK, "storage_class": "shared"}}, {}, "names storage_class and node_path"),
        ({"cache": {"node_path": "mnt/nvme"}}, {}, "is not a plain absolute path of a folder"),
        ({"cache": {"node_path": "/mnt/../etc"}}, {}, "is not a plain absolute path of a folder"),
        ({"cache": {"node_path": "/"}}, {}, "is not a plain absolute path of a folder"),
        ({}, {"pool": None}, "needs GPU machines of a pool"),
        (
            {},
            {
                "runs_on": "cpu",
                "sensitivity": "internal",
                "product": None,
                "pool": None,
                "tensor_parallel": 1,
            },
            "needs GPU machines of a pool",
        ),
    ],
)
def test_an_impossible_disk_is_refused(
    engine: Engine, weights: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        deploy(engine, weights, **more)
    assert not engine.made


def on_disks(platform: dict[str, Any]) -> Platform:
    platform["endpoints"][1]["weights"] = {
        **{key: value for key, value in S3.items() if key != "size_gib"},
        "cache": DISK,
    }
    return CheckedPlatform.model_validate(platform)


def quota(platform: Platform, going: list[migration_capacity.Standing] | None = None) -> dict[str, float]:
    quota = namespace_args(platform, platform.sites[0], "confidential", going or [])["quota"]  # type: ignore[typeddict-item]
    return {key: float(value.removesuffix("Mi").removesuffix("Gi")) for key, value in quota.items()}


def test_the_quota_holds_a_pod_on_each_machine(engine: Engine, platform: dict[str, Any]) -> None:
    before = quota(CheckedPlatform.model_validate(platform))
    checked = on_disks(platform)
    pool = next(pool for pool in checked.pools if pool.name == checked.endpoints[1].pool)
    assert pool.nodes > 1
    after = quota(checked)
    assert after["pods"] - before["pods"] == pool.nodes
    fetch_request = fetching_of(checked, checked.endpoints[1])
    assert (fetch_request.pods, fetch_request.cpu, fetch_request.most_cpu) == (
        pool.nodes,
        pool.nodes / Decimal(4),
        pool.nodes * 2,
    )
    # A quota is said in whole CPUs.
    for key, cpus in (("requests.cpu", fetch_request.cpu), ("limits.cpu", fetch_request.most_cpu)):
        assert abs(after[key] - before[key] - float(cpus)) < 1, key
    assert after["requests.cpu"] < after["limits.cpu"]
    grown = [after[f"{key}.memory"] - before[f"{key}.memory"] for key in ("requests", "limits")]
    assert grown == [1, 8], "GiB"


def test_endpoints_of_an_earlier_plan_count_until_they_leave(platform: dict[str, Any]) -> None:
    checked = on_disks(platform)
    stands = next(
        move for move in migration_capacity.built_endpoints(checked) if move.id == checked.endpoints[1].id
    )
    assert stands.fetchers > 1
    old = stands.model_copy(update={"id": "old", "replicas": 0})
    more, less = quota(checked, [old]), quota(checked, [old.model_copy(update={"fetchers": 0})])
    assert more["pods"] - less["pods"] == stands.fetchers
    assert "fetchers" not in old.model_copy(update={"fetchers": 0}).model_dump()
    assert migration_capacity.Standing.model_validate(old.model_dump()).fetchers == stands.fetchers


def test_only_machines_that_hold_its_slices_fetch(platform: dict[str, Any]) -> None:
    """Two slices of one GPU lie on one machine; of four replicas that must outlive a node, on both."""
    for replicas, survive, machines in ((2, "none", 1), (4, "node", 2)):
        on_slices(platform, replicas=replicas, gpus=replicas, survive=survive)
        platform["pools"][0]["mig"][0]["gpus"] = replicas // 2
        platform["endpoints"][0]["weights"] = {
            **{key: value for key, value in S3.items() if key != "size_gib"},
            "cache": DISK,
        }
        checked = CheckedPlatform.model_validate(platform)
        assert fetching_of(checked, checked.endpoints[0]).pods == machines


def test_machines_that_an_autoscaler_may_add_fetch_too() -> None:
    data = private.data()
    data["pools"][0]["node_group"]["max_nodes"] = 7
    data["images"]["translator"] = data["images"]["edge"].replace("edge", "translator")
    served = next(
        endpoint for endpoint in data["endpoints"] if endpoint.get("pool") == data["pools"][0]["name"]
    )
    store = {**STORE, "address": "10.80.0.10"}
    served["weights"] = {**S3, "store": store, "cache": DISK}
    checked = CheckedPlatform.model_validate(data)
    endpoint = next(endpoint for endpoint in checked.endpoints if endpoint.id == served["id"])
    assert checked.pools[0].nodes < 7
    assert fetching_of(checked, endpoint).pods == 7
