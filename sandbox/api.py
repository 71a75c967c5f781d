"""The sandbox's door: `up`, `status`, `environment`, `down`.

One lock a home: two calls at once take turns. Every process is recorded before it is waited for, so
whatever is cut off half-way, the next `up` mends and `down` clears.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault
from sandbox import endpoint, processes
from sandbox import environment as _environment
from sandbox import status as _status
from sandbox.cluster import crds, initial_objects, kubeconfig, sites
from sandbox.cluster.client import KubeClient
from sandbox.cluster.crds import Definition
from sandbox.cluster.kwok import Cluster, StartFault
from sandbox.home import Home
from sandbox.operators import processes as operator_processes
from sandbox.status import Status
from sandbox.tools import cluster_tools

Progress = Callable[[str], None]
"""Is told, in a few words, what happens now; called from several threads."""

WAIT_S = 600.0
"""How long a second call waits for the first."""


def up(
    requirements: Path | str,
    *,
    home: Path | str | None = None,
    crds: Path | str | None = None,
    progress: Progress | None = None,
) -> Status:
    """Bring up a cluster for each site of the requirements that has one, on-prem or by EKS, and the AWS endpoint.

    `crds` is a folder of real CustomResourceDefinitions. What runs already stays as it is; what is
    missing is added. Raises `InputError` before anything is made, `EnvironmentFault` when a tool is
    missing or something does not start.
    """
    say = progress or (lambda _: None)
    wanted = sites.read(requirements)
    definitions = _definitions(crds)
    # Without a site that has one there is no cluster to make, and no tool for one is needed.
    tools = cluster_tools() if wanted.sites else {}
    place = Home.at(home)
    place.make()
    with _turn(place, say):
        state = place.read_state()
        state["requirements"] = str(wanted.file)
        region = wanted.region or state.get("aws", {}).get("region") or _environment.REGION
        known = state.setdefault("sites", {})
        with ThreadPoolExecutor(len(wanted.sites) + 1) as pool:
            port = state.get("aws", {}).get("port")
            aws = pool.submit(_aws, place, port, region, wanted.called, say)
            made = {
                site.name: pool.submit(
                    _site,
                    Cluster(place, site.name, tools),
                    site,
                    wanted.models,
                    definitions,
                    known.get(site.name),
                    say,
                )
                for site in wanted.sites
            }
        failures = [future.exception() for future in (aws, *made.values())]
        known |= {name: future.result() for name, future in made.items() if not future.exception()}
        if not aws.exception():
            state["aws"] = {"port": aws.result(), "region": region}
        place.write_state(state)
        kubeconfig.write(place.kubeconfig, _contexts(place, known))
        for failure in failures:
            if failure is not None:
                raise failure
        _environment.prepare(place)
        return _status.read(place)


def status(home: Path | str | None = None) -> Status:
    """What runs now; changes nothing, and says so where nothing is up."""
    return _status.read(Home.at(home))


def environment(home: Path | str | None = None) -> dict[str, str]:
    """The variables that `pulumi up` needs for this sandbox; `EnvironmentFault` where it is not up."""
    return _environment.variables(Home.at(home))


def shell(home: Path | str | None = None) -> str:
    """The same as lines for a shell to evaluate: `unset …`, then `export NAME=value`."""
    return _environment.shell(Home.at(home))


def down(home: Path | str | None = None, *, progress: Progress | None = None) -> None:
    """End every process of this sandbox and forget cluster and AWS; Pulumi's state stays.

    Needs no tool, and works on whatever a crash left.
    """
    place = Home.at(home)
    if not place.root.exists():
        return
    with _turn(place, progress or (lambda _: None)):
        processes.end_all(place)
        for folder in (place.kwok, place.aws):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (place.state_file, place.kubeconfig):
            file.unlink(missing_ok=True)


def _definitions(folder: Path | str | None) -> list[Definition]:
    return crds.definitions(Path(folder) if folder is not None else None)


@contextmanager
def _turn(place: Home, say: Progress) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(place.lock)
    try:
        lock.acquire(timeout=0.2)
    except Timeout:
        say("another isthmus sandbox command is at work in this home; waiting for it")
        try:
            lock.acquire(timeout=WAIT_S)
        except Timeout:
            raise EnvironmentFault(
                f"another isthmus sandbox command has been at work here for {WAIT_S:.0f} s",
                where=str(place.root),
                fix="Wait for it, or end it",
            ) from None
    try:
        yield
    finally:
        lock.release()


def _aws(
    place: Home, port: int | None, region: str, called: dict[str, tuple[str, ...]], say: Progress
) -> int:
    chosen = endpoint.ensure(place, port, region)
    for where, models in called.items():
        endpoint.add_models(chosen, where, models)
    say(f"AWS answers at {endpoint.address(chosen)}")
    return chosen


def _site(
    cluster: Cluster,
    site: sites.OnPremSite,
    models: dict[str, int],
    definitions: list[Definition],
    known: dict[str, Any] | None,
    say: Progress,
) -> dict[str, Any]:
    client, fresh = _running(cluster, say)
    with client:
        applied = {} if fresh or not known else known["applied"]
        done = initial_objects.fill(client, site, models, definitions, applied)
        operator_processes.ensure(cluster)
        say(f"{site.name}: nodes, volumes and {len(definitions)} resource definitions are there")
        return _status.site_record(
            site, client.server, done, {entry.name: entry.source for entry in definitions}
        )


def _running(cluster: Cluster, say: Progress) -> tuple[KubeClient, bool]:
    """A client of the cluster, ready; and whether the cluster is a new one."""
    if cluster.exists() and cluster.running():
        client = cluster.client()
        if client.ready():
            say(f"{cluster.site}: the cluster runs at {client.server}")
            return client, False
        client.close()
    if cluster.exists():
        say(f"{cluster.site}: the cluster is not whole; starting it again with its data")
        try:
            cluster.start()
            return _await(cluster, say), False
        except StartFault:
            say(f"{cluster.site}: it does not start with its data; making a new one")
    say(f"{cluster.site}: making the cluster")
    try:
        cluster.create()
        return _await(cluster, say), True
    except StartFault:
        # Mostly another process took a port in between; a second failure is a reason to stop.
        say(f"{cluster.site}: that failed; once more on other ports")
        cluster.create()
        return _await(cluster, say), True


def _await(cluster: Cluster, say: Progress) -> KubeClient:
    processes.record(
        cluster.home, {cluster.process_name(component): pid for component, pid in cluster.pids().items()}
    )
    client = cluster.await_ready()
    say(f"{cluster.site}: the API server is ready at {client.server}")
    return client


def _contexts(place: Home, known: dict[str, Any]) -> dict[str, kubeconfig.Access]:
    made = {entry["context"]: Cluster(place, site, {}) for site, entry in sorted(known.items())}
    return {context: cluster.access for context, cluster in made.items() if cluster.exists()}
