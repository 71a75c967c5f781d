"""A sandbox of two sites through its life: crashes, repair, down and up again. In order, on one home."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import KubeClient
from sandbox import api, processes
from sandbox.cluster import crds, initial_objects
from sandbox.home import Home

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).resolve().parents[2]
TWO_SITES = """
isthmus: v1
name: two
workloads:
  - name: summaries
    purpose: Summarise
    sensitivity: restricted
    impact: low
    task: chat
    model:
      candidates: [{id: Qwen/Qwen3-32B, scores: {fp8: 0.9}}]
      min_score: 0.5
      context_tokens: 4096
    traffic: {peak_rps: 1, mean_rps: 1, prompt_tokens: 100, output_tokens: 100}
    slo: {ttft_p95_ms: 2000, tpot_p95_ms: 100, availability: 0.99}
sites:
  - name: north
    kind: on-prem
    jurisdiction: de
    kube_context: admin@north
    network: {cidrs: [10.1.0.0/16]}
    pools: [{gpu: l4-24gb, nodes: 3, gpus_per_node: 2, failure_domains: 2}]
  - name: south
    kind: on-prem
    jurisdiction: de
    kube_context: south
    network: {cidrs: [10.2.0.0/16]}
    pools: [{gpu: h100-sxm-80gb, nodes: 1, gpus_per_node: 8}]
"""


@pytest.fixture(scope="module")
def requirements(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("two-sites") / "two.requirements.yaml"
    file.write_text(TWO_SITES)
    return file


@pytest.fixture(scope="module")
def few_crds(tmp_path_factory) -> Path:
    """A folder with a single CRD, so that the rest are stand-ins."""
    folder = tmp_path_factory.mktemp("crds")
    entry = crds.stand_ins()["certificates.cert-manager.io"]
    (folder / "certificates.cert-manager.io.yaml").write_text(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        f"metadata:\n  name: {entry.name}\nspec: {json.dumps(json.loads(entry.text)['spec'])}\n"
    )
    return folder


@pytest.fixture(scope="module")
def home(toolchain, requirements, few_crds, tmp_path_factory):
    created = tmp_path_factory.mktemp("life") / "home"
    try:
        api.up(requirements, home=created, crds=few_crds)
        yield created
    finally:
        api.down(created)


def owned(home: Path) -> list[psutil.Process]:
    place = Home.at(home)
    return [*processes.running_processes(place).values(), *processes.find_strays(place)]


def ports(home: Path) -> set[int]:
    pids = {process.pid for process in owned(home)}
    return {
        connection.laddr.port
        for connection in psutil.net_connections("inet")
        if connection.laddr and connection.pid in pids and connection.status == psutil.CONN_LISTEN
    }


def listening() -> set[int]:
    return {
        connection.laddr.port
        for connection in psutil.net_connections("inet")
        if connection.laddr and connection.status == psutil.CONN_LISTEN
    }


def test_each_site_has_its_own_cluster_under_its_context(home):
    status = api.status(home)
    assert {cluster.context: cluster.gpus for cluster in status.clusters} == {"admin@north": 6, "south": 8}
    assert len({cluster.address for cluster in status.clusters}) == 2
    with KubeClient.from_kubeconfig(home / "kubeconfig", "admin@north") as client:
        assert "north-l4-24gb-2" in client.names(initial_objects.NODES)


def test_status_tells_real_definitions_from_stand_ins(home):
    for cluster in api.status(home).clusters:
        assert cluster.crds_real == ["certificates.cert-manager.io"]
        assert len(cluster.crds_stand_in) == len(crds.stand_in_rows()) - 1


def test_a_killed_component_is_named_and_the_next_up_mends_it_with_its_data(home, requirements, few_crds):
    with KubeClient.from_kubeconfig(home / "kubeconfig", "south") as client:
        client.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "kept"}})
        client.delete(f"{initial_objects.NODES}/south-cpu-1")
    alive = processes.running_processes(Home.at(home))
    processes.end_processes([alive["isthmus-south/kube-apiserver"], alive["isthmus-south/kwok-controller"]])
    fault = r"no longer run: .*isthmus-south/kube-apiserver.*isthmus sandbox up"
    with pytest.raises(EnvironmentFault, match=fault):
        api.environment(home)
    assert not api.status(home).up
    status = api.up(requirements, home=home, crds=few_crds)
    assert status.up
    with KubeClient.from_kubeconfig(home / "kubeconfig", "south") as client:
        assert client.find("/api/v1/namespaces/default/configmaps/kept"), "the data was thrown away"
        assert "south-cpu-1" in client.names(initial_objects.NODES), "a node deleted by hand stays away"


def test_a_cluster_whose_data_are_damaged_is_made_anew(home, requirements, few_crds):
    processes.running_processes(Home.at(home))["isthmus-south/etcd"].kill()
    for file in (Home.at(home).kwok / "clusters" / "isthmus-south" / "etcd").rglob("*"):
        if file.is_file():
            file.write_bytes(b"no data")
    lines: list[str] = []
    status = api.up(requirements, home=home, crds=few_crds, progress=lines.append)
    assert status.up
    assert any("creating a new one" in text for text in lines), lines


def test_a_requirements_file_that_has_grown_adds_the_missing_nodes(home, requirements, few_crds):
    requirements.write_text(TWO_SITES.replace("nodes: 3", "nodes: 4"))
    status = api.up(requirements, home=home, crds=few_crds)
    assert {cluster.context: cluster.gpus for cluster in status.clusters}["admin@north"] == 8


def test_down_leaves_no_process_and_no_port_even_after_kills(home, requirements, few_crds):
    before, pulumi = ports(home), Home.at(home)
    passphrase = pulumi.passphrase.read_text()
    (pulumi.pulumi_state / "stack").write_text("mine")
    assert len(before) >= 13, "two clusters of six ports, and AWS"
    alive = processes.running_processes(Home.at(home))
    for name in ("isthmus-north/kube-apiserver", "isthmus-south/kwok-controller", "aws-endpoint"):
        alive[name].kill()
    # As after a crash before anything was recorded.
    Home.at(home).processes.unlink()
    api.down(home)
    assert not owned(home)
    assert not before & listening()
    assert not any(
        process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in alive.values()
    )
    assert passphrase == pulumi.passphrase.read_text()
    assert (pulumi.pulumi_state / "stack").exists()
    assert not api.status(home).up
    with pytest.raises(EnvironmentFault, match="isthmus sandbox up"):
        api.environment(home)


def test_up_after_down_keeps_the_kubeconfigs_path_on_other_ports(home, requirements, few_crds, toolchain):
    first = api.up(requirements, home=home, crds=few_crds)
    env = api.environment(home)
    api.down(home)
    second = api.up(requirements, home=home, crds=few_crds)
    assert second.kubeconfig == first.kubeconfig == env["KUBECONFIG"]
    assert {c.address for c in first.clusters}.isdisjoint({c.address for c in second.clusters})
    with KubeClient.from_kubeconfig(Path(env["KUBECONFIG"]), "south") as client:
        assert client.is_ready()


def test_an_up_that_is_killed_half_way_is_cleared_by_down(toolchain, requirements, tmp_path):
    home = tmp_path / "cut-off"
    code = f"from sandbox import api; api.up({str(requirements)!r}, home={str(home)!r})"
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not any(p.name().startswith("kube-apiserver") for p in owned(home) if p.is_running()):
            assert child.poll() is None, "it ended before there was an API server"
            assert time.monotonic() < deadline, "it never got as far as an API server"
            time.sleep(0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        child.wait()
        left = {process.pid for process in owned(home)}
        api.down(home)
    assert left, "nothing ran when it was killed: this test shows nothing"
    assert not owned(home)
    assert not any(psutil.pid_exists(pid) and _alive(pid) for pid in left)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
