"""vLLM on CPUs, to develop against: no GPU, no pool, no queue, and no sensitive work."""

from typing import Any

import pytest

from components import ModelServer
from isthmus.core.errors import InputError, Refused
from tests.components.conftest import Engine, build
from tests.components.platforms import DIGEST, REGISTRY
from tests.components.test_model_server import args

CPU_IMAGE = f"{REGISTRY}vllm-cpu@{DIGEST}"
ENDPOINT = {
    **{"id": "internal-tiny", "class": "internal", "site": "fra1", "target": "onprem-vllm", "engine": "cpu"},
    **{"model": "Qwen/Qwen3-0.6B", "weights": {"uri": "pvc://tiny", "digest": DIGEST}},
    **{"cpu": "4", "memory": "16Gi"},
}


def cpu_args(**more: Any) -> dict[str, Any]:
    plain = {key: value for key, value in args().items() if key not in ("product", "tensor_parallel")}
    return {**plain, "sensitivity": "internal", "engine": "cpu", "vllm_image": CPU_IMAGE, **more}


def test_a_cpu_engine_needs_no_gpu_and_avoids_gpu_machines(engine: Engine) -> None:
    engine.deploy(ModelServer, "m", cpu_args())
    pod = engine.only("Deployment").pod
    (vllm,) = pod["containers"]
    assert set(vllm["resources"]["limits"]) == {"cpu", "memory"}
    assert "nodeSelector" not in pod
    assert "tolerations" not in pod, "GPU machines are tainted: it must not take their CPUs"
    assert pod["dnsPolicy"] == "None", "it calls no one either"
    assert vllm["image"] == CPU_IMAGE


def test_a_cpu_engine_has_the_same_sidecar_and_policy(engine: Engine) -> None:
    engine.deploy(ModelServer, "m", cpu_args())
    assert [box["name"] for box in engine.only("Deployment").pod["initContainers"]] == ["edge"]
    assert "egress" not in engine.only("NetworkPolicy").spec


@pytest.mark.parametrize(
    ("more", "kind", "message"),
    [
        ({"sensitivity": "confidential"}, Refused, "for development"),
        ({"sensitivity": "restricted"}, Refused, "for development"),
        ({"engine": "tpu"}, InputError, "engine"),
        ({"product": "NVIDIA-L40S"}, InputError, "an engine on CPUs cannot have product"),
        ({"queue": "q"}, InputError, "an engine on CPUs cannot have queue"),
        ({"tensor_parallel": 2}, InputError, "cannot be split"),
        ({"engine": "gpu"}, InputError, "no GPU product is set"),
    ],
)
def test_impossible_cpu_settings_are_refused(
    engine: Engine, more: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        engine.deploy(ModelServer, "m", cpu_args(**more))
    assert not engine.made


def test_the_platform_serves_it_beside_its_pools(engine: Engine, platform: dict[str, Any]) -> None:
    platform["endpoints"].append(ENDPOINT)
    platform["images"]["vllm_cpu"] = CPU_IMAGE
    internal = next(gateway for gateway in platform["gateways"] if gateway["class"] == "internal")
    internal["workloads"].append({"name": "trial", "endpoint": "internal-tiny"})
    build(engine, platform)
    deployment = engine.only("Deployment", "isthmus-internal-tiny-server")
    assert "kueue.x-k8s.io/queue-name" not in deployment.meta["labels"]
    quota = next(
        quota for quota in engine.all("ResourceQuota") if quota.meta["namespace"] == "isthmus-internal"
    )
    assert quota.spec["hard"]["requests.nvidia.com/gpu"] == "0"
    assert engine.only("NetworkPolicy", "isthmus-fra1-internal-gateway-to-internal-tiny")
