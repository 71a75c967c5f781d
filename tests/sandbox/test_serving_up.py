"""Serving by load, from a cache, with a canary: one stack, from its requirements to its end.

The real engine, provider, API server, scheduler and controllers. No KEDA runs: what its autoscaler would do to a
Deployment is done here by the same request to the same subresource. No kubelet runs, so the job's program and the
verifying container are exercised in `tests/edge/test_weights.py` and `test_versions.py`.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from isthmus.core.kubernetes_client import KubeClient
from sandbox import api
from tests.accounting import cluster
from tests.sandbox.projects import standing
from tests.sandbox.test_slices_and_groups_up import DIGEST, Mixed, running
from tests.sandbox.waiting import eventually

pytestmark = pytest.mark.sandbox

POOL, SPACE = "fra1-l40s-48gb", "isthmus-internal"
CHAT, NEXT, VECTORS = "internal-chat", "internal-chat-v2", "internal-vectors"
MODEL, EMBEDDER = "Qwen/Qwen3-8B", "Qwen/Qwen3-Embedding-0.6B"
NEW_DIGEST, NEWEST_DIGEST = "sha256:" + "c" * 64, "sha256:" + "d" * 64


def workload(name: str, task: str, model: str) -> dict[str, Any]:
    slo = {"ttft_p95_ms": 2000, "availability": 0.99} | ({"tpot_p95_ms": 100} if task == "chat" else {})
    return {
        **{"name": name, "purpose": "Try", "sensitivity": "internal", "impact": "low", "task": task},
        "model": {
            "candidates": [{"id": model, "scores": {"bf16": 0.9}}],
            "min_score": 0.5,
            "context_tokens": 4096,
        },
        "traffic": {"peak_rps": 1, "mean_rps": 1, "prompt_tokens": 100, "output_tokens": 100},
        **{"slo": slo, "survive": "none"},
    }


REQUIREMENTS: dict[str, Any] = {
    **{"isthmus": "v1", "name": "mixed"},
    "workloads": [workload("assistant", "chat", MODEL), workload("search", "embedding", EMBEDDER)],
    "sites": [
        {
            **{"name": "fra1", "kind": "on-prem", "jurisdiction": "de", "kube_context": "fra1"},
            "network": {"cidrs": ["10.40.0.0/16"], "dns": ["10.40.0.53"]},
            "pools": [{"gpu": "l40s-48gb", "nodes": 2, "gpus_per_node": 4, "failure_domains": 2}],
        }
    ],
}


def planned(id_: str, model: str, replicas: int) -> dict[str, Any]:
    return {
        **{"id": id_, "class": "internal", "site": "fra1", "target": "onprem-vllm", "model": model},
        **{"precision": "bf16", "gpu": "l40s-48gb", "max_model_len": 4096, "tensor_parallel": 1},
        **{"nodes_per_replica": 1, "replicas": replicas, "gpus": replicas},
    }


PLAN: dict[str, Any] = {
    **{"version": "0.1.0", "blueprint": "regulated-hybrid", "feasible": True},
    "endpoints": [planned(CHAT, MODEL, 2), planned(VECTORS, EMBEDDER, 1)],
    "placements": [
        {
            **{"workload": name, "endpoint": endpoint, "sensitivity": "internal"},
            **{"role": "primary", "share": 1.0, "why": "the only candidate"},
        }
        for name, endpoint in (("assistant", CHAT), ("search", VECTORS))
    ],
    "gateways": [{"class": "internal", "site": "fra1", "host": "internal.llm.example"}],
}


def fetched(digest: str, **cache: str) -> dict[str, Any]:
    return {
        **{"uri": "s3://models/qwen3-8b", "digest": digest, "size_gib": 40, "public_key": "signers"},
        "store": {
            **{"endpoint": "https://s3.fra1.example:9000", "address": "10.40.3.10"},
            "credentials_secret": "weights-store",
        },
        "cache": cache,
    }


OVERRIDES: dict[str, Any] = {
    "images": {
        **{
            name: f"registry.example/{name}@{DIGEST}"
            for name in ("edge", "translator", "detector", "vllm", "resolver")
        },
        "registries": ["registry.example/"],
    },
    "issuer": {"name": "ca"},
    "monitoring": {"namespace": "monitoring", "prometheus_url": "http://prometheus.monitoring.svc:9090"},
    "audit": [
        {"name": "fra1", "endpoint": "https://s3.fra1.example", "bucket": "audit", "address": "10.40.0.9"}
    ],
    "pools": [{"name": POOL, "node_names": [f"{POOL}-0", f"{POOL}-1"]}],
    "endpoints": [
        {
            "id": CHAT,
            "weights": fetched(DIGEST, storage_class="shared"),
            "speculative": {"method": "ngram", "tokens": 4},
            **{"prefix_cache": "salted", "drain_s": 300, "max_num_seqs": 64},
        },
        {"id": VECTORS, "weights": {"uri": f"oci://registry.example/vectors@{DIGEST}", "digest": DIGEST}},
        {
            **{"id": NEXT, "class": "internal", "site": "fra1", "target": "onprem-vllm", "pool": POOL},
            **{
                "model": MODEL,
                "replicas": 1,
                "gpus": 1,
                "weights": fetched(NEW_DIGEST, node_path="/mnt/nvme0"),
            },
        },
    ],
    "gateways": [
        {
            "name": "internal-fra1",
            "workloads": [
                {"name": "assistant", "team": "office", "canary": {"endpoint": NEXT, "percent": 1}},
            ],
        }
    ],
    "scaling": [
        {"endpoint": CHAT, "min_replicas": 2, "max_replicas": 4},
        {"endpoint": VECTORS, "min_replicas": 0, "max_replicas": 2, "cold_start_s": 1800},
    ],
}


ROUTER = {
    **{"gateway_class": "istio", "service": "internal-router-istio", "ca": "internal-ca"},
    **{"control_namespace": "istio-system", "control_port": 15012},
}


def volumes(client: KubeClient) -> None:
    """What a provisioner of shared volumes would have made."""
    for number in range(2):
        client.create(
            "/api/v1/persistentvolumes",
            {
                "metadata": {"name": f"shared-{number}"},
                "spec": {
                    **{"capacity": {"storage": "1Ti"}, "accessModes": ["ReadWriteMany"]},
                    **{"storageClassName": "shared", "hostPath": {"path": f"/shared/{number}"}},
                    "persistentVolumeReclaimPolicy": "Retain",
                },
            },
        )


@pytest.fixture(scope="module")
def served(site_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    folder = tmp_path_factory.mktemp("serving")
    with standing(
        lambda root, home: Mixed(root, home, REQUIREMENTS, PLAN, OVERRIDES), folder, site_home
    ) as project:
        volumes(project.cluster)
        project.up()
        yield project


def load(served: Mixed, endpoint: str, replicas: int) -> None:
    """As the autoscaler does it."""
    path = f"/apis/apps/v1/namespaces/{SPACE}/deployments/{endpoint}/scale"
    body = {"spec": {"replicas": replicas}}
    served.cluster.call("PATCH", path, body=body, content_type="application/merge-patch+json")

    def settled(pods: list[dict[str, Any]]) -> bool:
        return len(pods) == replicas and (not pods or running(pods))

    assert len(eventually(lambda: serving(served, endpoint), settled)) == replicas


def serving(served: Mixed, endpoint: str) -> list[dict[str, Any]]:
    """Its pods, without the job's."""
    return [pod for pod in served.pods(endpoint) if pod["metadata"]["labels"]["isthmus.dev/role"] == "model"]


def replicas(served: Mixed, endpoint: str) -> int:
    return served.cluster.get(f"/apis/apps/v1/namespaces/{SPACE}/deployments/{endpoint}")["spec"]["replicas"]


def scaled(served: Mixed, endpoint: str) -> dict[str, Any]:
    return served.cluster.get(f"/apis/keda.sh/v1alpha1/namespaces/{SPACE}/scaledobjects/{endpoint}")["spec"]


def config(served: Mixed) -> str:
    """The gateway's file."""
    created = served.cluster.get(f"/api/v1/namespaces/{SPACE}/configmaps")["items"]
    (actual,) = [
        manifest for manifest in created if manifest["metadata"]["name"].startswith("internal-gateway-config")
    ]
    return actual["data"]["config.yaml"]


def on_the_disks(served: Mixed, folder: str, digest: str) -> None:
    """One volume and claim for all machines of the pool, filled on each before the model's pod came there."""
    every = served.cluster.get("/api/v1/persistentvolumes")["items"]
    # Another one is for what the engine compiles.
    (volume,) = [
        entry for entry in every if entry["spec"].get("local", {}).get("path") == f"{folder}/internal"
    ]
    assert volume["status"]["phase"] == "Bound"
    namespace_path = f"/api/v1/namespaces/{SPACE}"
    claims = served.cluster.get(f"{namespace_path}/persistentvolumeclaims")["items"]
    (claim,) = [claim for claim in claims if claim["metadata"]["name"].startswith(f"{NEXT}-weights")]
    assert (claim["status"]["phase"], claim["spec"]["volumeName"]) == ("Bound", volume["metadata"]["name"])
    status = served.cluster.get(f"/apis/apps/v1/namespaces/{SPACE}/daemonsets/{NEXT}-fetch")["status"]
    assert (status["numberReady"], status["updatedNumberScheduled"]) == (2, 2)
    fetchers = [pod for pod in served.pods(NEXT) if pod["metadata"]["labels"]["isthmus.dev/role"] == "fetch"]
    assert sorted(pod["spec"]["nodeName"] for pod in fetchers) == [f"{POOL}-0", f"{POOL}-1"]
    (model,) = serving(served, NEXT)
    assert running([model])
    for pod in (*fetchers, model):
        assert claim["metadata"]["name"] in str(pod["spec"]["volumes"])
        assert f"--digest={digest}" in pod["spec"]["initContainers"][0]["args"]
    ready = [
        condition
        for pod in fetchers
        for condition in pod["status"]["conditions"]
        if condition["type"] == "Ready"
    ]
    assert max(each["lastTransitionTime"] for each in ready) <= model["metadata"]["creationTimestamp"]
    assert f"/models/{NEXT}/{digest.removeprefix('sha256:')}" == model["spec"]["containers"][0]["args"][0]


def test_weights_lie_in_the_cache_before_a_pod_starts(served: Mixed) -> None:
    jobs = served.cluster.get(f"/apis/batch/v1/namespaces/{SPACE}/jobs")["items"]
    assert [job["metadata"]["name"].rpartition("-")[0] for job in jobs] == [f"{CHAT}-fetch"]
    claim = served.cluster.get(f"/api/v1/namespaces/{SPACE}/persistentvolumeclaims/{CHAT}-weights")
    assert claim["status"]["phase"] == "Bound"
    pods = serving(served, CHAT)
    assert running(pods)
    assert min(pod["metadata"]["creationTimestamp"] for pod in pods) >= jobs[0]["status"]["completionTime"]
    assert {pod["spec"]["initContainers"][0]["name"] for pod in pods} == {"verify-weights"}


def test_weights_lie_on_every_machine_of_the_pool_before_a_pod_starts(served: Mixed) -> None:
    on_the_disks(served, "/mnt/nvme0", NEW_DIGEST)
    quota = served.cluster.get(f"/api/v1/namespaces/{SPACE}/resourcequotas/isthmus")["status"]
    assert int(quota["used"]["pods"]) <= int(quota["hard"]["pods"])


def test_keda_is_told_what_to_measure_and_the_api_server_took_it(served: Mixed) -> None:
    spec = scaled(served, CHAT)
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 4)
    assert {entry["name"] for entry in spec["triggers"]} == {"waiting", "kv-cache", "in-batches"}
    assert "asked-for" in {entry["name"] for entry in scaled(served, VECTORS)["triggers"]}


def test_the_class_has_quota_for_the_most_replicas(served: Mixed) -> None:
    quota = served.cluster.get(f"/api/v1/namespaces/{SPACE}/resourcequotas/isthmus")["spec"]["hard"]
    assert quota["requests.nvidia.com/gpu"] == "8", "four, two and one at most, and one that ends"


@pytest.mark.soak
def test_a_preview_right_after_finds_nothing_to_change(served: Mixed) -> None:
    done = served.pulumi("preview", "--expect-no-changes")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def likeness(one: list[float], another: list[float]) -> float:
    """Cosine of two vectors of length 1."""
    return sum(left * right for left, right in zip(one, another, strict=True))


def answers_within(client: openai.OpenAI, status: int, seconds: float) -> str:
    """Ask until the workload answers with a status. Returns the error's message, if it is one."""
    end = time.monotonic() + seconds
    while True:
        try:
            client.embeddings.create(model="search", input="a")
            found, message = 200, ""
        except openai.APIStatusError as error:
            found, message = error.status_code, str(error.message)
        if found == status:
            return message
        assert time.monotonic() < end, f"{found} {message}"
        time.sleep(0.1)


def test_texts_are_embedded_on_this_machine_and_alike_ones_are_near(served: Mixed) -> None:
    shown = served.must("sandbox", "serve", "mixed")
    try:
        assert "workloads assistant, search;" in shown
        platform = api.served(served.home)
        assert platform is not None
        [door] = platform.doors
        tls = ssl.create_default_context(cafile=str(platform.ca))
        tls.load_cert_chain(platform.certificate, platform.certificate_key)
        key = Path(door.key_files["search"]).read_text().strip()
        texts = ["Where do I report a lost card?", "I cannot find my bank card", "The tulips bloom in April"]
        with openai.DefaultHttpxClient(verify=tls, trust_env=False) as http:
            client = openai.OpenAI(base_url=f"{door.url}/v1", api_key=key, http_client=http)
            lost, gone, tulips = (
                entry.embedding for entry in client.embeddings.create(model="search", input=texts).data
            )
            assert "internal at fra1: answered" in served.must("verify", "mixed")
            stop = ("stop", "mixed", "search")
            stopped = served.must(*stop, "--reason", "drill", "--message", "Call 4711.")
            assert "search at internal, fra1: stopped" in stopped
            assert "Call 4711." in answers_within(client, 503, 5)
            assert "STILL STOPPED" in served.must(*stop, "--restart")
            assert "restarted" in served.must(*stop, "--restart", "--as", "reviewer-three")
            answers_within(client, 200, 5)
        assert len(lost) == 384
        assert likeness(lost, gone) > likeness(lost, tulips) + 0.05
    finally:
        served.must("sandbox", "serve", "mixed", "--stop")


def test_what_the_load_has_made_of_it_stays_through_a_change(served: Mixed) -> None:
    load(served, CHAT, 4)
    load(served, VECTORS, 0)
    unchanged = served.pulumi("preview", "--expect-no-changes")
    assert unchanged.returncode == 0, unchanged.stdout[-3000:]

    def change(overrides: dict[str, Any]) -> None:
        overrides["endpoints"][0]["speculative"]["tokens"] = 2
        overrides["endpoints"][1]["drain_s"] = 60
        # Other weights, and on another disk.
        overrides["endpoints"][2]["weights"] = fetched(NEWEST_DIGEST, node_path="/mnt/nvme1")
        # From our own split to a router's, and from the Service to a picker.
        overrides["gateways"][0]["router"] = ROUTER
        overrides["gateways"][0]["workloads"][0]["canary"]["percent"] = 10
        overrides["endpoints"][0]["picker"] = {"service": "picker", "labels": {"app": "picker"}}

    gateway = config(served)
    assert "percent: 1.0" in gateway
    assert "cache_salt: team/office" in gateway
    served.override(change)
    served.up()
    assert (replicas(served, CHAT), replicas(served, VECTORS)) == (4, 0), (
        "an update must not undo the autoscaler"
    )
    on_the_disks(served, "/mnt/nvme1", NEWEST_DIGEST)
    pods = serving(served, CHAT)
    assert running(pods)
    assert all('"num_speculative_tokens":2' in " ".join(pod["spec"]["containers"][0]["args"]) for pod in pods)


def test_a_router_is_told_of_weights_and_pools_and_the_api_server_took_it(served: Mixed) -> None:
    api = f"/apis/gateway.networking.k8s.io/v1/namespaces/{SPACE}"
    route = served.cluster.get(f"{api}/httproutes/internal-router-assistant")["spec"]
    refs = {rule["name"]: (rule["kind"], rule["weight"]) for rule in route["rules"][0]["backendRefs"]}
    assert refs == {CHAT: ("InferencePool", 90_000), NEXT: ("Service", 10_000)}
    assert served.cluster.get(f"{api}/gateways/internal-router")["spec"]["gatewayClassName"] == "istio"
    pools = f"/apis/inference.networking.k8s.io/v1/namespaces/{SPACE}/inferencepools"
    spec = served.cluster.get(f"{pools}/{CHAT}")["spec"]
    assert spec["endpointPickerRef"]["failureMode"] == "FailClose"
    selector: dict[str, str] = spec["selector"]["matchLabels"]
    every = served.cluster.get(f"/api/v1/namespaces/{SPACE}/pods")["items"]
    picked = [pod for pod in every if selector.items() <= pod["metadata"]["labels"].items()]
    assert {pod["metadata"]["labels"]["isthmus.dev/endpoint"] for pod in picked} == {CHAT}
    assert "percent" not in config(served), "the router splits now"


def test_destroy_leaves_nothing(served: Mixed) -> None:
    served.must("destroy", "mixed", "--yes")
    client = served.cluster
    assert eventually(lambda: cluster.objects(client), lambda objects: not objects) == set()
    assert served.held() == []
