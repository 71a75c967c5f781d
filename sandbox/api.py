"""The public functions of the sandbox: `up`, `status`, `environment`, `shell`, `down`.

Each sandbox home has one lock, so calls run one after the other. A process is recorded before `up` waits for
it. After an interrupted call the next `up` repairs the sandbox, and `down` removes what is left.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import KubeClient
from sandbox import endpoint, operator_processes, processes
from sandbox import environment as _environment
from sandbox import status as _status
from sandbox.cluster import crds, initial_objects, kubeconfig, sites
from sandbox.cluster.crds import Definition
from sandbox.cluster.kwok import Cluster, StartFault
from sandbox.home import Home
from sandbox.local import serving as _serving
from sandbox.local.serving import Platform
from sandbox.status import Status
from sandbox.tools import find_cluster_tools

Progress = Callable[[str], None]
"""Receives a short text for each step. `up` calls it from several threads."""

LOCK_WAIT_S = 600.0
"""Seconds that a second call waits for the first."""


def up(
    requirements: Path | str,
    *,
    home: Path | str | None = None,
    crds: Path | str | None = None,
    progress: Progress | None = None,
) -> Status:
    """Start the AWS endpoint, and a cluster for each on-prem or EKS site of the requirements.

    `up` leaves running parts as they are and adds what is missing.

    Args:
        requirements: the requirements file.
        home: the sandbox home; see `Home.at` for the default.
        crds: a folder of real CustomResourceDefinitions, used in place of stand-ins.
        progress: receives a text for each step.

    Raises:
        InputError: the requirements or the folder are invalid. Nothing has been created.
        EnvironmentFault: a tool is missing, or a process does not start.
    """
    report = progress or (lambda _: None)
    spec = sites.read(requirements)
    definitions = _definitions(crds)
    # Without a site that gets a cluster, no cluster tool is needed.
    tools = find_cluster_tools() if spec.sites else {}
    sandbox_home = Home.at(home)
    sandbox_home.make()
    with _sandbox_lock(sandbox_home, report):
        state = sandbox_home.read_state()
        state["requirements"] = str(spec.file)
        region = spec.region or state.get("aws", {}).get("region") or _environment.REGION
        site_records = state.setdefault("sites", {})
        with ThreadPoolExecutor(len(spec.sites) + 1) as pool:
            port = state.get("aws", {}).get("port")
            aws = pool.submit(_ensure_aws_endpoint, sandbox_home, port, region, spec.api_models, report)
            clusters = {
                site.name: pool.submit(
                    _ensure_site_cluster,
                    Cluster(sandbox_home, site.name, tools),
                    site,
                    spec.models,
                    definitions,
                    site_records.get(site.name),
                    report,
                )
                for site in spec.sites
            }
        failures = [future.exception() for future in (aws, *clusters.values())]
        site_records |= {name: future.result() for name, future in clusters.items() if not future.exception()}
        if not aws.exception():
            state["aws"] = {"port": aws.result(), "region": region}
        sandbox_home.write_state(state)
        kubeconfig.write(sandbox_home.kubeconfig, _access_by_context(sandbox_home, site_records))
        for failure in failures:
            if failure is not None:
                raise failure
        _environment.prepare(sandbox_home)
        return _status.read(sandbox_home)


def status(home: Path | str | None = None) -> Status:
    """Return what runs now, without changing anything. `Status.up` is False if nothing runs."""
    return _status.read(Home.at(home))


def environment(home: Path | str | None = None) -> dict[str, str]:
    """Return the environment variables that `pulumi up` needs. Raises `EnvironmentFault` if the sandbox is not up."""
    return _environment.variables(Home.at(home))


def shell(home: Path | str | None = None) -> str:
    """Return the same variables as shell lines: `unset …`, then `export NAME=value`."""
    return _environment.shell(Home.at(home))


def serve(
    stack: str,
    clusters: Mapping[str, KubeClient],
    regions: Collection[str] = (),
    *,
    home: Path | str | None = None,
    progress: Progress | None = None,
    metrics: bool = False,
) -> Platform:
    """Run what stands in the clusters of a stack, and on Fargate in these regions, as processes of this machine.

    Small models answer for the stack's own. A platform that runs already is ended first. `metrics`: a Prometheus for
    each site and an Alertmanager run beside it. Returns once everything is ready.

    Raises:
        EnvironmentFault: the sandbox or the stack is not up, a part does not start, or `metrics` lacks its programs.
    """
    report = progress or (lambda _: None)
    sandbox_home = Home.at(home)
    with _sandbox_lock(sandbox_home, report):
        return _serving.serve(sandbox_home, stack, clusters, regions, report, metrics=metrics)


def stop_serving(home: Path | str | None = None, *, progress: Progress | None = None) -> None:
    """End what `serve` started, and leave clusters and AWS as they are."""
    sandbox_home = Home.at(home)
    with _sandbox_lock(sandbox_home, progress or (lambda _: None)):
        _serving.end(sandbox_home)


def served(home: Path | str | None = None) -> Platform | None:
    """What the last `serve` started; None if it does not run."""
    return _serving.read(Home.at(home))


def down(home: Path | str | None = None, *, progress: Progress | None = None) -> None:
    """End every process of this sandbox and delete the clusters and AWS. Pulumi's state stays.

    Needs no tool, and also cleans up after a crash.
    """
    sandbox_home = Home.at(home)
    if not sandbox_home.root.exists():
        return
    with _sandbox_lock(sandbox_home, progress or (lambda _: None)):
        _serving.end(sandbox_home)
        processes.end_all(sandbox_home)
        for folder in (sandbox_home.kwok, sandbox_home.aws, _serving.folder(sandbox_home)):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (sandbox_home.state_file, sandbox_home.kubeconfig):
            file.unlink(missing_ok=True)


def _definitions(folder: Path | str | None) -> list[Definition]:
    return crds.definitions(Path(folder) if folder is not None else None)


@contextmanager
def _sandbox_lock(sandbox_home: Home, report: Progress) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(sandbox_home.lock)
    try:
        lock.acquire(timeout=0.2)
    except Timeout:
        report("another isthmus sandbox command is using this home; waiting for it")
        try:
            lock.acquire(timeout=LOCK_WAIT_S)
        except Timeout:
            raise EnvironmentFault(
                f"another isthmus sandbox command has held the lock of this home for {LOCK_WAIT_S:.0f} s",
                where=str(sandbox_home.root),
                fix="Wait until it ends, or end it, and try again",
            ) from None
    try:
        yield
    finally:
        lock.release()


def _ensure_aws_endpoint(
    sandbox_home: Home,
    port: int | None,
    region: str,
    api_models: dict[str, tuple[str, ...]],
    report: Progress,
) -> int:
    endpoint_port = endpoint.ensure(sandbox_home, port, region)
    for model_region, models in api_models.items():
        endpoint.add_models(endpoint_port, model_region, models)
    report(f"AWS answers at {endpoint.address(endpoint_port)}")
    return endpoint_port


def _ensure_site_cluster(
    cluster: Cluster,
    site: sites.OnPremSite,
    models: dict[str, int],
    definitions: list[Definition],
    site_record: dict[str, Any] | None,
    report: Progress,
) -> dict[str, Any]:
    client, is_new = _ensure_cluster_running(cluster, report)
    with client:
        applied = {} if is_new or not site_record else site_record["applied"]
        applied_objects = initial_objects.apply_initial_objects(client, site, models, definitions, applied)
        operator_processes.ensure(cluster)
        report(f"{site.name}: nodes, volumes and {len(definitions)} resource definitions are ready")
        return _status.site_record(
            site,
            client.server,
            applied_objects,
            {definition.name: definition.source for definition in definitions},
        )


def _ensure_cluster_running(cluster: Cluster, report: Progress) -> tuple[KubeClient, bool]:
    """Return a client of the ready cluster, and True if the cluster is new."""
    if cluster.exists() and cluster.running():
        client = cluster.client()
        if client.is_ready():
            report(f"{cluster.site}: the cluster runs at {client.server}")
            return client, False
        client.close()
    if cluster.exists():
        report(f"{cluster.site}: some components do not run; restarting the cluster with its data")
        try:
            cluster.start()
            return _await_api_server(cluster, report), False
        except StartFault:
            report(f"{cluster.site}: the cluster does not start with its data; creating a new one")
    report(f"{cluster.site}: creating the cluster")
    try:
        cluster.create()
        return _await_api_server(cluster, report), True
    except StartFault:
        # The usual cause is another process that took one of the ports meanwhile.
        report(f"{cluster.site}: creating the cluster failed; trying once more on other ports")
        cluster.create()
        return _await_api_server(cluster, report), True


def _await_api_server(cluster: Cluster, report: Progress) -> KubeClient:
    processes.record(
        cluster.home, {cluster.process_name(component): pid for component, pid in cluster.pids().items()}
    )
    client = cluster.await_ready()
    report(f"{cluster.site}: the API server is ready at {client.server}")
    return client


def _access_by_context(sandbox_home: Home, site_records: dict[str, Any]) -> dict[str, kubeconfig.Access]:
    clusters = {
        entry["context"]: Cluster(sandbox_home, site, {}) for site, entry in sorted(site_records.items())
    }
    return {context: cluster.access for context, cluster in clusters.items() if cluster.exists()}
