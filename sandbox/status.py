"""What a sandbox consists of right now, as data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from isthmus.core.errors import EnvironmentFault
from sandbox import endpoint, processes
from sandbox.cluster import initial_objects
from sandbox.cluster.client import KubeClient
from sandbox.cluster.kwok import COMPONENTS
from sandbox.cluster.sites import OnPremSite
from sandbox.home import Home
from sandbox.operators import processes as running
from sandbox.tools import tools

PARTS = (*COMPONENTS, running.NAME)
"""A cluster's processes."""


@dataclass(frozen=True)
class PoolStatus:
    """Nodes of one product in a cluster."""

    name: str
    product: str
    """Label `nvidia.com/gpu.product`."""
    nodes: int
    gpus: int


@dataclass(frozen=True)
class ClusterStatus:
    site: str
    context: str
    address: str
    running: bool
    """Do all components run, and does the API server answer?"""
    nodes: int = 0
    pools: list[PoolStatus] = field(default_factory=list)
    gpus: int = 0
    volumes: int = 0
    """PersistentVolumes that weights can be claimed from."""
    crds_real: list[str] = field(default_factory=list)
    crds_stand_in: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    """Components that do not run."""


@dataclass(frozen=True)
class AwsStatus:
    address: str
    running: bool
    simulated: Any
    """What moto answers and what is served beside it, in the words of `sandbox.aws`."""


@dataclass(frozen=True)
class Status:
    home: str
    up: bool
    """Is everything that the last `up` made still at work?"""
    kubeconfig: str | None
    clusters: list[ClusterStatus]
    aws: AwsStatus | None
    toolchain: dict[str, str | None]
    """Where each tool was found; None where it was not."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; the keys are the fields' names."""
        return asdict(self)


def read(home: Home) -> Status:
    """Look at what runs; nothing is started or changed."""
    state = home.read_state()
    sites = state.get("sites", {})
    alive = set(processes.alive(home))
    with ThreadPoolExecutor(max(1, len(sites))) as pool:
        clusters = list(pool.map(lambda site: _cluster(home, site, sites[site], alive), sorted(sites)))
    aws = None
    if "aws" in state:
        from sandbox.aws import simulated

        port = state["aws"]["port"]
        running = endpoint.NAME in alive and endpoint.healthy(port)
        aws = AwsStatus(endpoint.address(port), running, simulated())
    return Status(
        home=str(home.root),
        up=bool(state) and aws is not None and aws.running and all(cluster.running for cluster in clusters),
        kubeconfig=str(home.kubeconfig) if home.kubeconfig.exists() else None,
        clusters=clusters,
        aws=aws,
        toolchain={name: str(path) if path else None for name, path in tools().items()},
    )


def missing_processes(home: Home) -> list[str]:
    """Names of the processes that a sandbox which is up would have and this one has not."""
    state = home.read_state()
    expected = [f"isthmus-{site}/{part}" for site in state.get("sites", {}) for part in PARTS]
    expected += [endpoint.NAME] if "aws" in state else []
    alive = set(processes.alive(home))
    return [name for name in expected if name not in alive]


def _cluster(home: Home, site: str, known: dict[str, Any], alive: set[str]) -> ClusterStatus:
    dead = [part for part in PARTS if f"isthmus-{site}/{part}" not in alive]
    try:
        with KubeClient.of(home.kubeconfig, known["context"]) as client:
            if not client.ready():
                return ClusterStatus(site, known["context"], known["address"], False, dead=dead)
            nodes = client.get(initial_objects.NODES)["items"]
            names = client.names(initial_objects.CRDS)
            volumes = client.names(initial_objects.VOLUMES)
    except EnvironmentFault:
        return ClusterStatus(site, known["context"], known["address"], False, dead=dead)
    pools = _pools(site, nodes)
    sources = {name: source for name, source in known["crds"].items() if name in names}
    return ClusterStatus(
        site=site,
        context=known["context"],
        address=known["address"],
        running=not dead,
        nodes=len(nodes),
        pools=pools,
        gpus=sum(pool.gpus for pool in pools),
        volumes=sum(name.startswith("weights-") for name in volumes),
        crds_real=sorted(name for name, source in sources.items() if source == "real"),
        crds_stand_in=sorted(name for name, source in sources.items() if source == "stand-in"),
        dead=dead,
    )


def _pools(site: str, nodes: list[dict[str, Any]]) -> list[PoolStatus]:
    """Pools by the names of their nodes, `POOL-N`."""
    found: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        if "nvidia.com/gpu.product" in node["metadata"].get("labels", {}):
            found.setdefault(node["metadata"]["name"].rpartition("-")[0], []).append(node)
    return [
        PoolStatus(
            name,
            members[0]["metadata"]["labels"]["nvidia.com/gpu.product"],
            len(members),
            sum(int(node["status"].get("allocatable", {}).get("nvidia.com/gpu", 0)) for node in members),
        )
        for name, members in sorted(found.items())
    ]


def site_record(
    site: OnPremSite, address: str, applied: initial_objects.Applied, crds: dict[str, str]
) -> dict[str, Any]:
    """A site's entry in the state file."""
    return {"context": site.context, "address": address, "applied": applied, "crds": crds}
