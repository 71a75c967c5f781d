"""What an engine compiles at its start: kept where nobody else writes, and read by its own version alone."""

from __future__ import annotations

from typing import Any

import pytest

from components import ModelServer
from isthmus.core.errors import InputError
from tests.components.conftest import Engine
from tests.components.platforms import DIGEST, REGISTRY
from tests.components.test_model_server import args
from tests.components.test_node_cache import DISK
from tests.components.test_weight_cache import S3, TRANSLATOR
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse, refused

CACHES = (
    *("VLLM_CACHE_ROOT", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"),
    *("FLASHINFER_WORKSPACE_BASE", "DG_JIT_CACHE_DIR"),
)


def pod_of(engine: Engine, **more: Any) -> dict[str, Any]:
    engine.made.clear()
    engine.deploy(ModelServer, "m", args(**{"pool": "h100", "fetch_image": TRANSLATOR, **more}))
    return engine.only("Deployment", "m-server").pod


def on_disk(engine: Engine, weights: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return pod_of(engine, weights={**S3, "cache": DISK, **(weights or {})}, **more)


def variables(pod: dict[str, Any]) -> dict[str, str]:
    return {
        variable["name"]: variable["value"] for variable in pod["containers"][0]["env"] if "value" in variable
    }


def folder(pod: dict[str, Any]) -> str | None:
    volume_mounts = [
        volume_mount
        for volume_mount in pod["containers"][0]["volumeMounts"]
        if volume_mount["mountPath"] == "/compiled"
    ]
    return volume_mounts[0]["subPath"] if volume_mounts else None


def test_without_a_safe_place_each_pod_compiles_for_itself(engine: Engine) -> None:
    pod = pod_of(engine)
    assert folder(pod) is None
    assert {variables(pod)[name].split("/")[1] for name in CACHES} == {"cache"}
    (cache,) = [volume for volume in pod["volumes"] if volume["name"] == "cache"]
    assert "emptyDir" in cache


def test_with_weights_on_the_machines_disk_a_start_finds_what_the_last_one_compiled(engine: Engine) -> None:
    pod = on_disk(engine)
    key = folder(pod)
    assert key
    assert {variables(pod)[name].split("/")[1] for name in CACHES} == {"compiled"}
    disk = engine.only("PersistentVolume", "m-compiled-disks")
    assert disk.spec["local"] == {"path": "/mnt/nvme/isthmus/restricted/.compiled/llama"}, (
        "no endpoint's own folder"
    )
    assert disk.spec["claimRef"]["name"] == engine.only("PersistentVolumeClaim", "m-compiled").meta["name"]
    assert folder(on_disk(engine)) == key


def test_the_folder_is_there_before_the_pods_that_mount_it(engine: Engine) -> None:
    on_disk(engine)
    (fetch,) = engine.only("DaemonSet").pod["initContainers"]
    assert {"name": "weights", "mountPath": "/compiled", "subPath": ".compiled/llama"} in fetch[
        "volumeMounts"
    ], "kubelet makes a subPath, and no folder of a local volume"
    assert {"m-fetch", "m-compiled"} <= set(engine.only("Deployment", "m-server").depends_on)


@pytest.mark.parametrize(
    "change",
    [
        {"vllm_image": f"{REGISTRY}vllm@sha256:{'b' * 64}"},
        {"weights": {"digest": "sha256:" + "b" * 64}},
    ],
)
def test_another_image_or_other_weights_start_a_new_compile_cache(
    engine: Engine, change: dict[str, Any]
) -> None:
    assert folder(on_disk(engine)) != folder(on_disk(engine, **change))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"sensitivity": "internal"}, "internal/.compiled/llama"),
        ({"id": "qwen"}, "restricted/.compiled/qwen"),
    ],
)
def test_another_class_and_another_endpoint_have_a_folder_a_volume_and_a_claim_of_their_own(
    engine: Engine, change: dict[str, Any], path: str
) -> None:
    places = []
    for more in ({}, change):
        pod = on_disk(engine, **more)
        (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "compiled"]
        claim = engine.only("PersistentVolumeClaim", "m-compiled")
        assert volume["persistentVolumeClaim"] == {"claimName": claim.meta["name"]}
        disk = engine.only("PersistentVolume", "m-compiled-disks")
        places.append((disk.meta["name"], disk.spec["local"]["path"]))
    assert places[0][0] != places[1][0]
    assert [place[1].removeprefix("/mnt/nvme/isthmus/") for place in places] == [
        "restricted/.compiled/llama",
        path,
    ]


def test_the_engine_writes_into_its_own_folder_and_into_no_weights(engine: Engine) -> None:
    pod = on_disk(engine)
    (weights,) = [volume for volume in pod["volumes"] if volume["name"] == "weights"]
    assert weights["persistentVolumeClaim"]["readOnly"] is True
    written = [
        (box["name"], mount["name"])
        for box in (*pod["containers"], *pod["initContainers"])
        for mount in box["volumeMounts"]
        if mount["name"] in ("weights", "compiled") and not mount.get("readOnly")
    ]
    assert written == [("vllm", "compiled")]


def test_a_stated_volume_is_the_endpoints_own(engine: Engine) -> None:
    pod = pod_of(engine, compile_cache={"place": "volume", "storage_class": "shared", "size_gib": 30})
    (claim,) = [
        claim for claim in engine.all("PersistentVolumeClaim") if claim.meta["name"] == "llama-compiled"
    ]
    assert claim.spec["accessModes"] == ["ReadWriteMany"]
    assert claim.spec["storageClassName"] == "shared"
    assert claim.spec["resources"]["requests"] == {"storage": "30Gi"}
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "compiled"]
    assert volume["persistentVolumeClaim"] == {"claimName": "llama-compiled"}
    assert folder(pod)


def test_a_disk_may_be_left_out(engine: Engine) -> None:
    pod = on_disk(engine, compile_cache={"place": "pod"})
    assert folder(pod) is None
    (weights,) = [volume for volume in pod["volumes"] if volume["name"] == "weights"]
    assert weights["persistentVolumeClaim"]["readOnly"] is True


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"compile_cache": {"place": "node"}}, "no folder on the machines' disks"),
        ({"compile_cache": {"place": "volume"}}, "no storage class"),
        ({"compile_cache": {"place": "disk"}}, "place"),
        (
            {
                "compile_cache": {"place": "volume", "storage_class": "s"},
                "vllm_image": f"{REGISTRY}vllm:v0.33.0",
            },
            "by tag",
        ),
    ],
)
def test_a_missing_or_unsafe_cache_place_is_refused(
    engine: Engine, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pod_of(engine, **more)


def test_an_image_by_tag_keeps_nothing_by_itself(engine: Engine) -> None:
    assert folder(on_disk(engine, vllm_image=f"{REGISTRY}vllm:v0.33.0")) is None


@pytest.mark.parametrize(
    ("cache", "message"),
    [
        ({"place": "node"}, "is `node`, but weights.cache.node_path is not set"),
        ({"place": "volume"}, "is `volume`, but no storage_class is set"),
    ],
)
def test_a_compile_cache_place_must_exist(cache: dict[str, Any], message: str) -> None:
    def change(data: dict[str, Any]) -> None:
        data["endpoints"][0]["compile_cache"] = cache

    output = refused(InputError, change)
    assert message in output
    assert "compile_cache" in output


def test_a_platforms_setting_reaches_the_pod() -> None:
    from components.serving.mapping import model_args

    data = platform_data()
    data["endpoints"][0]["compile_cache"] = {"place": "volume", "storage_class": "shared"}
    platform = parse(data)
    arguments = model_args(platform, platform.pools[0], platform.endpoints[0])
    assert arguments.get("compile_cache") == {"place": "volume", "storage_class": "shared"}
    assert DIGEST in str(arguments["vllm_image"])
