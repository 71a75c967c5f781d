"""A plan of 200 endpoints on 500 GPU machines: every pod finds a place, no queue gives out more than it has, and what
is left after a failure domain's loss carries the peak.

The manifests are the rendered ones, applied as a GitOps controller would, each by server-side apply. The scheduler and
the controllers are the real ones, the machines KWOK's; Kueue's own controller does not run, so its quotas are counted.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench import fleet
from isthmus.contracts.plan import document as plan_of
from isthmus.contracts.plan.document import Plan
from isthmus.core import yaml_files
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from tests.sandbox import projects
from tests.sandbox.begun import Begun, begun
from tests.sandbox.waiting import eventually

pytestmark = [pytest.mark.sandbox, pytest.mark.soak]

ENDPOINTS, NODES = 200, 500
PLACEHOLDER = re.compile(r"\$\{(?P<name>[a-z0-9-]+)\.clusterIP\}")
QUEUE = "kueue.x-k8s.io/queue-name"
ZONE = "topology.kubernetes.io/zone"
# Shorter, to work on this file: ISTHMUS_FLEET=20,50.
if os.environ.get("ISTHMUS_FLEET"):
    ENDPOINTS, NODES = (int(number) for number in os.environ["ISTHMUS_FLEET"].split(","))


@dataclass
class Fleet:
    stack: Begun
    client: KubeClient
    plan: Plan

    def pods(self) -> list[dict[str, Any]]:
        """Pods of model servers that are not on their way out."""
        return projects.pods(self.client, "isthmus.dev/endpoint")


@pytest.fixture(scope="module")
def applied(toolchain: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    expected = folder / "wanted.yaml"
    yaml_files.dump(fleet.requirements_data(ENDPOINTS, NODES), "", expected)
    with begun("fleet", expected, folder) as stack:
        out = stack.root / "out"
        stack.must("render", "fleet", "-o", str(out))
        client = KubeClient.from_kubeconfig(stack.home / "kubeconfig", fleet.SITE)
        apply(client, out / "kubernetes" / fleet.SITE)
        yield Fleet(stack, client, plan_of.load(stack.root / "stacks" / "fleet.plan.yaml"))
        client.close()


def apply(client: KubeClient, folder: Path) -> None:
    """Every manifest, namespaces first; what needs another that is not there yet is tried again.

    An address that only the cluster knows stands as a placeholder that names the object, which has it by then.
    """
    kinds = collections(client)
    values: dict[str, Any] = {}
    left = [(path.read_text("utf-8"), path.name) for path in sorted(folder.rglob("*.yaml"))]
    left.sort(key=lambda entry: not entry[1].startswith("namespace-"))

    def one(text: str) -> str | None:
        resource = text.partition("\n")[0].rpartition("::")[2]
        text = PLACEHOLDER.sub(lambda value: values.get(value["name"], {}).get("clusterIP", value[0]), text)
        manifest = yaml_files.loads(text).data
        kind, meta = kinds[manifest["apiVersion"], manifest["kind"]], manifest["metadata"]
        namespace_path = f"namespaces/{meta['namespace']}/" if "namespace" in meta else ""
        root = "/api/v1" if manifest["apiVersion"] == "v1" else f"/apis/{manifest['apiVersion']}"
        try:
            created = client.apply(f"{root}/{namespace_path}{kind}/{meta['name']}", manifest)
        except ApiRefusal as error:
            return str(error)
        values[resource] = created.get("spec", {})
        return None

    while left:
        with ThreadPoolExecutor(8) as pool:
            faults = list(pool.map(lambda entry: one(entry[0]), left))
        again = [entry for entry, fault in zip(left, faults, strict=True) if fault]
        assert len(again) < len(left), [fault for fault in faults if fault][:5]
        left = again


def collections(client: KubeClient) -> dict[tuple[str, str], str]:
    actual: dict[tuple[str, str], str] = {}
    versions = ["v1"] + [
        group_version["groupVersion"]
        for group in client.get("/apis")["groups"]
        for group_version in group["versions"]
    ]
    for version in versions:
        root = "/api/v1" if version == "v1" else f"/apis/{version}"
        for kind in client.get(root)["resources"]:
            if "/" not in kind["name"]:
                actual[version, kind["kind"]] = kind["name"]
    return actual


def running(pods: list[dict[str, Any]]) -> Counter[str]:
    """How many pods of each endpoint run."""
    return Counter(
        pod["metadata"]["labels"]["isthmus.dev/endpoint"]
        for pod in pods
        if pod["status"].get("phase") == "Running"
    )


def test_every_pod_of_the_plan_is_scheduled_and_runs(applied: Fleet) -> None:
    expected = {endpoint.id: endpoint.replicas for endpoint in applied.plan.endpoints}
    assert len(expected) == ENDPOINTS
    actual = eventually(lambda: running(applied.pods()), lambda observed: observed == expected, seconds=300)
    assert actual == expected


def test_no_queue_gives_out_more_than_its_quota(applied: Fleet) -> None:
    taken: dict[str, Counter[str]] = defaultdict(Counter)
    for pod in applied.pods():
        meta = pod["metadata"]
        local = applied.client.get(
            f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{meta['namespace']}/localqueues/{meta['labels'][QUEUE]}"
        )
        for container in pod["spec"]["containers"]:
            for name, amount in container["resources"].get("limits", {}).items():
                if name.startswith("nvidia.com/"):
                    taken[local["spec"]["clusterQueue"]][name] += int(amount)
    assert sum(amounts["nvidia.com/gpu"] for amounts in taken.values()) == sum(
        endpoint.gpus or 0 for endpoint in applied.plan.endpoints
    )
    for queue, amounts in taken.items():
        spec = applied.client.get(f"/apis/kueue.x-k8s.io/v1beta2/clusterqueues/{queue}")["spec"]
        quota = {
            resource["name"]: int(resource["nominalQuota"]) + int(resource.get("borrowingLimit") or 0)
            for group in spec["resourceGroups"]
            for flavor in group["flavors"]
            for resource in flavor["resources"]
            if resource["name"] in amounts
        }
        assert all(amounts[name] <= quota[name] for name in amounts), (queue, amounts, quota)


def test_what_is_left_after_the_loss_of_a_failure_domain_carries_the_peak(applied: Fleet) -> None:
    nodes = applied.client.get("/api/v1/nodes")["items"]
    zones = {node["metadata"]["name"]: node["metadata"]["labels"][ZONE] for node in nodes}
    whole = running(applied.pods())
    # By the books, for each domain; then one is taken away, with nowhere to go.
    for zone in sorted(set(zones.values())):
        retained = Counter(
            pod["metadata"]["labels"]["isthmus.dev/endpoint"]
            for pod in applied.pods()
            if zones[pod["spec"]["nodeName"]] != zone
        )
        for endpoint in applied.plan.endpoints:
            assert carried(endpoint, retained, whole) >= peak(endpoint), (zone, endpoint.id)
    gone = sorted(set(zones.values()))[0]
    for name, zone in zones.items():
        if zone != gone:
            applied.client.call(
                "PATCH",
                f"/api/v1/nodes/{name}",
                body={"spec": {"unschedulable": True}},
                content_type="application/merge-patch+json",
            )
    for name, zone in zones.items():
        if zone == gone:
            applied.client.delete(f"/api/v1/nodes/{name}")

    def on_what_is_left() -> list[dict[str, Any]]:
        actual = [pod for pod in applied.pods() if pod["spec"].get("nodeName")]
        return actual if all(zones[pod["spec"]["nodeName"]] != gone for pod in actual) else []

    left = running(eventually(on_what_is_left, bool, seconds=240))
    assert left
    assert sum(left.values()) < sum(whole.values())
    for endpoint in applied.plan.endpoints:
        assert carried(endpoint, left, whole) >= peak(endpoint), endpoint.id


def carried(endpoint: Any, retained: Counter[str], whole: Counter[str]) -> float:
    """Requests a second of the replicas that are left, each at the rate that the plan holds one to sustain."""
    return retained[endpoint.id] * endpoint.predicted.capacity_rps / whole[endpoint.id]


def peak(endpoint: Any) -> float:
    return endpoint.predicted.peak_rps
