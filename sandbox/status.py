"""Reads the current state of a sandbox: clusters, AWS endpoint and tools."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import KubeClient
from sandbox import endpoint, operator_processes, processes
from sandbox.cluster import initial_objects
from sandbox.cluster.kwok import COMPONENTS
from sandbox.cluster.sites import OnPremSite
from sandbox.home import Home
from sandbox.local import alert_inbox, serving, supervisor
from sandbox.tools import find_tools

CLUSTER_PROCESSES = (*COMPONENTS, operator_processes.NAME)
"""Names of a cluster's processes."""


@dataclass(frozen=True)
class PoolStatus:
    """The GPU nodes of one pool."""

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
    """True if all components run and the API server answers."""
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
    """What is simulated, and by which program: see `sandbox.aws.simulated`."""


@dataclass(frozen=True)
class LocalProcess:
    """A process of the local platform (`isthmus sandbox serve`)."""

    name: str
    running: bool
    restarts: int
    ended: list[str]
    """How earlier processes of this name ended."""
    log: str


@dataclass(frozen=True)
class LocalStatus:
    """The local platform."""

    stack: str
    processes: list[LocalProcess]
    prometheus: dict[str, str] = field(default_factory=dict)
    """URL of each site's Prometheus; none without `serve --metrics`."""
    alertmanager: str = ""
    """URL of Alertmanager; empty: it does not run."""
    alerts: str = ""
    """File with the alerts that came, a line of JSON each; empty without Alertmanager."""
    firing: list[dict[str, str]] = field(default_factory=list)
    """Labels of the alerts that came and have not ended."""


@dataclass(frozen=True)
class Status:
    home: str
    up: bool
    """True if everything that the last `up` started still runs."""
    kubeconfig: str | None
    clusters: list[ClusterStatus]
    aws: AwsStatus | None
    toolchain: dict[str, str | None]
    """Path of each tool. None: the tool was not found."""
    local: LocalStatus | None = None
    """What `serve` started; None if nothing runs."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON. The keys are the names of the fields."""
        return asdict(self)


def read(home: Home) -> Status:
    """Return the current state without starting or changing anything."""
    state = home.read_state()
    sites = state.get("sites", {})
    alive = set(processes.running_processes(home))
    with ThreadPoolExecutor(max(1, len(sites))) as pool:
        clusters = list(pool.map(lambda site: _cluster_status(home, site, sites[site], alive), sorted(sites)))
    aws = None
    if "aws" in state:
        from sandbox.aws import simulated

        port = state["aws"]["port"]
        running = endpoint.NAME in alive and endpoint.is_healthy(port)
        aws = AwsStatus(endpoint.address(port), running, simulated())
    return Status(
        home=str(home.root),
        up=bool(state) and aws is not None and aws.running and all(cluster.running for cluster in clusters),
        kubeconfig=str(home.kubeconfig) if home.kubeconfig.exists() else None,
        clusters=clusters,
        aws=aws,
        toolchain={name: str(path) if path else None for name, path in find_tools().items()},
        local=_local_status(home),
    )


def _local_status(home: Home) -> LocalStatus | None:
    platform = serving.read(home)
    if platform is None:
        return None
    states = supervisor.read_states(serving.folder(home) / "status.json")
    return LocalStatus(
        platform.stack,
        [
            LocalProcess(state.name, state.is_running, state.restarts, state.ended, state.log)
            for state in states
        ],
        dict(platform.prometheus),
        platform.alertmanager,
        platform.alerts,
        [
            notice.labels
            for notice in alert_inbox.still_firing(alert_inbox.read_notices(Path(platform.alerts)))
        ]
        if platform.alerts
        else [],
    )


def missing_processes(home: Home) -> list[str]:
    """Return the names of processes that should run, according to the state file, and do not."""
    state = home.read_state()
    expected = [f"isthmus-{site}/{part}" for site in state.get("sites", {}) for part in CLUSTER_PROCESSES]
    expected += [endpoint.NAME] if "aws" in state else []
    alive = set(processes.running_processes(home))
    return [name for name in expected if name not in alive]


def _cluster_status(home: Home, site: str, record: dict[str, Any], alive: set[str]) -> ClusterStatus:
    dead = [part for part in CLUSTER_PROCESSES if f"isthmus-{site}/{part}" not in alive]
    try:
        with KubeClient.from_kubeconfig(home.kubeconfig, record["context"]) as client:
            if not client.is_ready():
                return ClusterStatus(site, record["context"], record["address"], False, dead=dead)
            nodes = client.get(initial_objects.NODES)["items"]
            names = client.names(initial_objects.CRDS)
            volumes = client.names(initial_objects.VOLUMES)
    except EnvironmentFault:
        return ClusterStatus(site, record["context"], record["address"], False, dead=dead)
    pools = _pool_statuses(site, nodes)
    sources = {name: source for name, source in record["crds"].items() if name in names}
    return ClusterStatus(
        site=site,
        context=record["context"],
        address=record["address"],
        running=not dead,
        nodes=len(nodes),
        pools=pools,
        gpus=sum(pool.gpus for pool in pools),
        volumes=sum(name.startswith("weights-") for name in volumes),
        crds_real=sorted(name for name, source in sources.items() if source == "real"),
        crds_stand_in=sorted(name for name, source in sources.items() if source == "stand-in"),
        dead=dead,
    )


def _pool_statuses(site: str, nodes: list[dict[str, Any]]) -> list[PoolStatus]:
    """Group the GPU nodes by pool. A node's name is `POOL-NUMBER`."""
    nodes_by_pool: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        if "nvidia.com/gpu.product" in node["metadata"].get("labels", {}):
            nodes_by_pool.setdefault(node["metadata"]["name"].rpartition("-")[0], []).append(node)
    return [
        PoolStatus(
            name,
            members[0]["metadata"]["labels"]["nvidia.com/gpu.product"],
            len(members),
            sum(int(node["status"].get("allocatable", {}).get("nvidia.com/gpu", 0)) for node in members),
        )
        for name, members in sorted(nodes_by_pool.items())
    ]


def site_record(
    site: OnPremSite, address: str, applied: initial_objects.Applied, crds: dict[str, str]
) -> dict[str, Any]:
    """Return a site's entry for the state file."""
    return {"context": site.context, "address": address, "applied": applied, "crds": crds}
