"""Proves that the pods of class restricted do not reach AWS.

On a cluster, a program in each of these pods tries AWS's addresses. In the sandbox no pod runs, so the same is tried
from network namespaces that are built from its NetworkPolicies (`sandbox.local.reach`).
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.core.errors import EnvironmentFault

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform, Site
    from isthmus.core.kubernetes_client import KubeClient

RESTRICTED = "restricted"
SERVICES = ("bedrock-runtime", "s3", "sts")
"""Services of AWS whose addresses are tried, by the names of their endpoints."""
PUBLIC_ADDRESS = "3.5.136.1"
"""In `3.5.136.0/22`, which `ip-ranges.json` gives to Amazon S3 in eu-central-1 (read 2026-11)."""
METADATA_ADDRESS = "169.254.169.254"
CONNECT_S = 3
EXEC_S = 120.0
_TRY = f"""import json, socket, sys
def tries(address, port):
    try:
        socket.create_connection((address, port), {CONNECT_S}).close()
        return True
    except OSError:
        return False
print(json.dumps([tries(*target) for target in json.loads(sys.argv[1])]))"""


@dataclass(frozen=True)
class Target:
    """An address of AWS."""

    name: str
    address: str
    port: int


@dataclass(frozen=True)
class PodReach:
    """What one pod reached."""

    site: str
    pod: str
    """`NAMESPACE/NAME` of its Deployment."""
    data_class: str
    role: str
    reached: Sequence[str]
    """Names of the targets that answered."""

    @property
    def well(self) -> bool:
        """Whether a pod of its class may reach that."""
        return not self.reached or self.data_class != RESTRICTED


def try_here(platform: Platform, clusters: Mapping[str, KubeClient]) -> list[PodReach]:
    """Try from network namespaces of this machine, for every pod of a sandbox's clusters.

    Raises `EnvironmentFault` if this machine cannot make them, or no pod reaches AWS that should: then the silence of
    the others proves nothing.
    """
    from sandbox.local import reach

    targets = _local_targets(platform)
    found = [
        PodReach(each.site, f"{each.namespace}/{each.name}", each.data_class, each.role, each.reached)
        for site, cluster in clusters.items()
        for each in reach.prove(cluster, site, [(t.name, t.address, t.port) for t in targets])
    ]
    translators = [each for each in found if each.role == "translator"]
    if translators and not any(each.reached for each in translators):
        raise EnvironmentFault(
            "no translator reached AWS's addresses, although it may, so nothing is proven",
            where=translators[0].pod,
            fix="Compare its NetworkPolicy with the network of the AWS site",
        )
    return found


def _local_targets(platform: Platform) -> list[Target]:
    """An address in the network of each AWS site, where its interface endpoints are, and AWS's public ones."""
    inside = [
        Target(f"the network of {site.name}", str(ipaddress.ip_network(cidr)[10]), 443)
        for site in platform.sites
        if site.kind == "aws"
        for cidr in site.cidrs[:1]
    ]
    public = Target("AWS's public addresses", PUBLIC_ADDRESS, 443)
    return [*inside, public, Target("the instance's metadata", METADATA_ADDRESS, 80)]


def try_in_pods(platform: Platform, clusters: Mapping[str, KubeClient]) -> list[PodReach]:
    """Try from inside each pod of class restricted, by `kubectl exec` with the contexts of the platform.

    Raises `EnvironmentFault` if kubectl is missing, AWS's names do not resolve here, or a pod cannot be entered.
    """
    if shutil.which("kubectl") is None:
        raise EnvironmentFault("kubectl not found on PATH", fix="Install kubectl")
    targets = list(_real_targets(platform))
    found = []
    for site in platform.sites:
        if site.name not in clusters:
            continue
        for namespace, deployment, role, container in _restricted_pods(clusters[site.name]):
            answers = _exec(site, namespace, deployment, container, targets)
            reached = [target.name for target, is_open in zip(targets, answers, strict=True) if is_open]
            found.append(PodReach(site.name, f"{namespace}/{deployment}", RESTRICTED, role, reached))
    return found


def _real_targets(platform: Platform) -> Iterator[Target]:
    """The addresses of AWS's services in each region, as this machine resolves them."""
    for region in sorted({site.region for site in platform.sites if site.kind == "aws" and site.region}):
        for service in SERVICES:
            name = f"{service}.{region}.amazonaws.com"
            try:
                resolved = socket.getaddrinfo(name, 443, socket.AF_INET, socket.SOCK_STREAM)
            except OSError as error:
                raise EnvironmentFault(
                    f"{name} does not resolve here: {error}",
                    fix="Run it where AWS's names resolve; the addresses are tried from inside the pods",
                ) from None
            for address in sorted({str(entry[4][0]) for entry in resolved}):
                yield Target(f"{name} ({address})", address, 443)
    yield Target("the instance's metadata", METADATA_ADDRESS, 80)


def _restricted_pods(cluster: KubeClient) -> Iterator[tuple[str, str, str, str]]:
    """Namespace, Deployment, role and a container with Python of each Deployment of class restricted."""
    for item in cluster.items("/apis/apps/v1/deployments"):
        labels = item["spec"]["template"]["metadata"].get("labels") or {}
        if labels.get("isthmus.dev/class") != RESTRICTED:
            continue
        for container in item["spec"]["template"]["spec"]["containers"]:
            if (container.get("command") or [""])[0].startswith("python"):
                metadata = item["metadata"]
                role = labels.get("isthmus.dev/role", "")
                yield metadata["namespace"], metadata["name"], role, container["name"]
                break


def _exec(
    site: Site, namespace: str, deployment: str, container: str, targets: Sequence[Target]
) -> list[bool]:
    addresses = json.dumps([[target.address, target.port] for target in targets])
    command = ["kubectl", "--context", site.kube_context or site.name, "-n", namespace, "exec"]
    command += [f"deployment/{deployment}", "-c", container, "--", "python3", "-c", _TRY, addresses]
    with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=EXEC_S, check=False)
        if done.returncode == 0:
            return [bool(value) for value in json.loads(done.stdout)]
        raise EnvironmentFault(
            f"kubectl exec failed: {done.stderr.strip()[-300:]}",
            where=f"{site.name} {namespace}/{deployment}",
            fix="You need the right to create pods/exec there for the time of the proof",
        )
    raise EnvironmentFault(
        "the program in the pod gave no answer", where=f"{site.name} {namespace}/{deployment}"
    )


def as_dict(entry: PodReach) -> dict[str, Any]:
    """The entry for JSON."""
    return {
        "site": entry.site,
        "pod": entry.pod,
        "class": entry.data_class,
        "role": entry.role,
        "reached": list(entry.reached),
        "well": entry.well,
    }
