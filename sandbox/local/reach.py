"""Proves on this machine what the pods of a stack reach: its NetworkPolicies, in real network namespaces.

The policies are those that stand in the sandbox's clusters, where nothing enforces them. The kernel does here, by its
routes. Each target has a listener, so that an answer shows that the way is open.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import KubeClient
from sandbox.local.network_rules import PodAddress, reachable

ROOT = Path(__file__).resolve().parents[2]
CLASS, ROLE = "isthmus.dev/class", "isthmus.dev/role"
LIMIT_S = 120.0


Target = tuple[str, str, int]
"""Name, IPv4 address and TCP port of what is tried."""


@dataclass(frozen=True)
class PodReach:
    """What one pod reached."""

    site: str
    namespace: str
    name: str
    role: str
    data_class: str
    reached: tuple[str, ...]
    """Names of the targets that answered."""


def prove(cluster: KubeClient, site: str, targets: Sequence[Target]) -> list[PodReach]:
    """Try every target from one pod of each Deployment of a stack.

    Raises `EnvironmentFault` if the machine has no network namespaces, or a policy has an unknown form.
    """
    missing = [tool for tool in ("unshare", "ip") if shutil.which(tool) is None]
    if missing:
        raise EnvironmentFault(
            f"this machine lacks {' and '.join(missing)}, so no network namespaces can be made",
            fix="Run it on Linux with util-linux and iproute2",
        )
    namespaces = {
        item["metadata"]["name"]: item["metadata"].get("labels") or {}
        for item in cluster.items("/api/v1/namespaces")
    }
    pods = _pods(cluster)
    ours = [pod for pod in pods if CLASS in pod.labels]
    policies = cluster.items("/apis/networking.k8s.io/v1/networkpolicies")
    try:
        described = [
            {
                "address": pod.address,
                "reachable": [asdict(allowed) for allowed in reachable(pod, policies, pods, namespaces)],
            }
            for pod in ours
        ]
    except ValueError as error:
        raise EnvironmentFault(str(error), where=site) from None
    answers = _try({"pods": described, "targets": [[address, port] for _, address, port in targets]})
    return [
        PodReach(
            site,
            pod.namespace,
            pod.name,
            pod.labels.get(ROLE, ""),
            pod.labels[CLASS],
            tuple(name for (name, _, _), is_open in zip(targets, answer, strict=True) if is_open),
        )
        for pod, answer in zip(ours, answers, strict=True)
    ]


def _pods(cluster: KubeClient) -> list[PodAddress]:
    """One pod of each Deployment, and of each part of a LeaderWorkerSet, with an address of its own."""
    templates = [
        (item["metadata"]["namespace"], item["metadata"]["name"], item["spec"]["template"]["metadata"])
        for item in cluster.items("/apis/apps/v1/deployments")
    ]
    for item in cluster.items("/apis/leaderworkerset.x-k8s.io/v1/leaderworkersets"):
        parts = item["spec"]["leaderWorkerTemplate"]
        templates += [
            (item["metadata"]["namespace"], item["metadata"]["name"], parts[key]["metadata"])
            for key in ("leaderTemplate", "workerTemplate")
            if key in parts
        ]
    return [
        PodAddress(namespace, name, metadata.get("labels") or {}, f"100.64.{index // 250}.{index % 250 + 2}")
        for index, (namespace, name, metadata) in enumerate(sorted(templates, key=lambda each: each[:2]))
    ]


def _try(task: Mapping[str, Any]) -> list[list[bool]]:
    with tempfile.TemporaryDirectory(prefix="isthmus-reach-") as folder:
        file = Path(folder) / "task.json"
        file.write_text(json.dumps(task))
        command = ["unshare", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"]
        done = subprocess.run(
            [*command, sys.executable, "-m", "sandbox.local.namespaces", str(file)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    if done.returncode != 0:
        raise EnvironmentFault(
            f"the network namespaces could not be made: {(done.stderr or done.stdout).strip()[-300:]}",
            fix="The kernel must allow user namespaces (`sysctl kernel.unprivileged_userns_clone=1`)",
        )
    return list(json.loads(done.stdout))
