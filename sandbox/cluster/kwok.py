"""Creates, restarts and watches one KWOK cluster through kwokctl, in a folder of the sandbox's home."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import socket
import subprocess
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from isthmus.core import yaml_files
from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import KubeClient, client_trust
from sandbox import processes
from sandbox.cluster.kubeconfig import Access
from sandbox.home import Home

KUBERNETES = "v1.36.3"
MANAGER = "isthmus-sandbox"
"""Field manager of all objects that the sandbox applies."""

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller")
BINARIES = ("kwokctl", "kwok", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")

SERVICES = "10.0.0.0/16"
"""Addresses of Services."""
_PORTS = (
    "etcdPort",
    "etcdPeerPort",
    "kubeApiserverPort",
    "kubeControllerManagerPort",
    "kubeSchedulerPort",
    "kwokControllerPort",
)

_KWOKCTL_TIMEOUT_S = 90.0
"""Seconds that kwokctl may take. On an idle machine it takes two."""
_DEAD_AFTER_S = 2.0
"""Seconds after which a stopped component counts as failed. kwokctl itself would wait for minutes."""


class StartFault(EnvironmentFault):
    """The cluster did not start. Another attempt on other ports may succeed."""


@dataclass(frozen=True)
class Cluster:
    """The cluster of a site, running or not."""

    home: Home
    site: str
    tools: Mapping[str, Path]
    """Paths of the programs in `BINARIES`, by name."""

    @property
    def name(self) -> str:
        return f"isthmus-{self.site}"

    @property
    def folder(self) -> Path:
        return self.home.kwok / "clusters" / self.name

    @property
    def access(self) -> Access:
        """Address and certificates, read from the files that kwokctl wrote."""
        options = yaml_files.load(self.folder / "kubeconfig.yaml").data
        pki = self.folder / "pki"
        return Access(
            options["clusters"][0]["cluster"]["server"], pki / "ca.crt", pki / "admin.crt", pki / "admin.key"
        )

    def client(self) -> KubeClient:
        access = self.access
        trust = client_trust(
            access.authority.read_text(), access.certificate.read_text(), access.key.read_text()
        )
        return KubeClient(self.name, access.server, trust, manager=MANAGER)

    def exists(self) -> bool:
        """Return True if the cluster was created completely, with its data and certificates."""
        return (self.folder / "kwok.yaml").exists() and (self.folder / "kubeconfig.yaml").exists()

    def process_name(self, component: str) -> str:
        return f"{self.name}/{component}"

    def running(self) -> bool:
        """Return True if all components run."""
        alive = processes.running_processes(self.home)
        return all(self.process_name(component) in alive for component in COMPONENTS)

    def create(self) -> None:
        """Create the cluster on free ports and start it, without waiting until it is ready."""
        self.remove()
        self.home.kwok.mkdir(parents=True, exist_ok=True)
        ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        configuration = {
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokctlConfiguration",
            "options": {
                "runtime": "binary",
                "kubeVersion": KUBERNETES,
                # etcd has no authentication here, so it must listen on this machine only.
                "bindAddress": "127.0.0.1",
                "etcdBinary": str(self.tools["etcd"]),
                "kubeApiserverBinary": str(self.tools["kube-apiserver"]),
                "kubeControllerManagerBinary": str(self.tools["kube-controller-manager"]),
                "kubeSchedulerBinary": str(self.tools["kube-scheduler"]),
                "kwokControllerBinary": str(self.tools["kwok"]),
                **ports,
            },
            "componentsPatches": [
                # The data need not survive a crash of the machine, and syncing costs seconds.
                {"name": "etcd", "extraArgs": [{"key": "unsafe-no-fsync", "value": "true"}]},
                # Each model has a Service: the default range of 254 addresses is too small for a large fleet.
                {
                    "name": "kube-apiserver",
                    "extraArgs": [{"key": "service-cluster-ip-range", "value": SERVICES}],
                },
                # With leases, a killed KWOK would keep its nodes from its successor for minutes. Without leases
                # the nodes send no heartbeat, so the controller manager must not mark them as lost.
                {
                    "name": "kwok-controller",
                    "extraArgs": [_override_argument("node-lease-duration-seconds", "0")],
                },
                {
                    "name": "kube-controller-manager",
                    "extraArgs": [
                        _override_argument("node-monitor-grace-period", "87600h"),
                        _NO_LEADER_ELECTION,
                    ],
                },
                {"name": "kube-scheduler", "extraArgs": [_NO_LEADER_ELECTION]},
            ],
        }
        stages = (Path(__file__).parent / "stages.yaml").read_text("utf-8")
        file = self.home.kwok / f"{self.name}.yaml"
        yaml_files.write_text(file, f"{json.dumps(configuration, indent=1)}\n---\n{stages}")
        # kwokctl insists on adding a context to a kubeconfig. Nothing reads this one.
        unused = self.home.kwok / f"{self.name}.kubeconfig"
        self._kwokctl("create", "cluster", "--config", str(file), "--kubeconfig", str(unused))

    def start(self) -> None:
        """Start an existing cluster again, with its data."""
        self.stop()
        for file in (self.folder / "pids").glob("*.pid"):
            file.unlink()  # the process has ended
        self._kwokctl("start", "cluster", "--config", str(self.home.kwok / f"{self.name}.yaml"))

    def stop(self) -> None:
        """End the components and keep the data."""
        recorded = processes.running_processes(self.home)
        recorded_components = [
            recorded[name] for name in map(self.process_name, COMPONENTS) if name in recorded
        ]
        strays = [process for process in processes.find_strays(self.home) if self._owns(process)]
        processes.end_processes([*recorded_components, *strays])

    def _owns(self, process: psutil.Process) -> bool:
        try:
            command = process.cmdline()
        except psutil.Error:
            return False
        # Either kwokctl, left behind by a killed `up`, or a component of this cluster.
        return self.name in command or any(
            argument.startswith(f"{self.folder}{os.sep}") for argument in command
        )

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def pids(self) -> dict[str, int]:
        """Return the process ids that kwokctl recorded, by component."""
        pids: dict[str, int] = {}
        for component in COMPONENTS:
            try:
                pids[component] = int((self.folder / "pids" / f"{component}.pid").read_text().strip())
            except (FileNotFoundError, ValueError):
                continue
        return pids

    def await_ready(self, timeout_s: float = 60.0) -> KubeClient:
        """Wait for the API server and return a client.

        Raises `StartFault` with the end of the log if a component ends or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        client = self.client()
        while not client.is_ready():
            dead = self._dead()
            if dead or time.monotonic() > deadline:
                client.close()
                component = dead[0] if dead else "kube-apiserver"
                log = self.folder / "logs" / f"{component}.log"
                reason = (
                    f"{component} ended" if dead else f"the API server was not ready in {timeout_s:.0f} s"
                )
                raise StartFault(
                    f"the cluster {self.name} did not start: {reason}. End of its log: {processes.tail(log)}",
                    where=str(log),
                    fix="Run `isthmus sandbox up` again; if it fails again, run `isthmus sandbox down` first",
                )
            time.sleep(0.05)
        return client

    def _dead(self) -> list[str]:
        alive = processes.running_processes(self.home)
        return [component for component in COMPONENTS if self.process_name(component) not in alive]

    def _kwokctl(self, *arguments: str) -> None:
        command = [str(self.tools["kwokctl"]), *arguments, "--name", self.name]
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home.kwok),
            "KWOK_WORKDIR": str(self.home.kwok),
        }
        # The output goes to a file: the components would inherit a pipe and keep it open.
        log = self.home.kwok / f"{self.name}.kwokctl.log"
        with log.open("wb") as output:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
            )
        try:
            code, dead = self._outcome(child)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        if code == 0:
            return
        failure_log = self.folder / "logs" / f"{dead}.log" if dead else log
        raise StartFault(
            f"kwokctl {arguments[0]} failed for {self.name}{f', {dead} ended' if dead else ''}. "
            f"End of its log: {processes.tail(failure_log, 3)}",
            where=str(failure_log),
            fix="Run `isthmus sandbox up` again; if it fails again, run `isthmus sandbox down` first",
        )

    def _outcome(self, child: subprocess.Popen[bytes]) -> tuple[int | None, str | None]:
        """Return kwokctl's exit code and the component that ended while kwokctl waited for it.

        (None, None) means that the time is over.
        """
        deadline = time.monotonic() + _KWOKCTL_TIMEOUT_S
        dead_since: dict[str, float] = {}
        while time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return child.wait(timeout=0.1), None
            for component, pid in self.pids().items():
                if _is_alive(pid):
                    dead_since.pop(component, None)
                elif time.monotonic() - dead_since.setdefault(component, time.monotonic()) > _DEAD_AFTER_S:
                    return None, component
        return None, None


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _override_argument(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": value, "override": True}


_NO_LEADER_ELECTION = _override_argument("leader-elect", "false")
"""There is one instance only. With election it would end itself on a busy machine if it renewed its lease late."""


_FREE_RANGE = range(20000, 32000)
_PORT_SHARES = 16
_recent_ports: deque[int] = deque(maxlen=400)


def free_ports(count: int) -> list[int]:
    """Return free loopback ports, below the range that the system uses for outgoing connections.

    A port stays free until its program has started. To avoid giving a port twice, each process prefers its own
    share of the range and skips ports that it returned recently. Raises `EnvironmentFault` if no port is free.
    """
    own_ports = range(_FREE_RANGE.start + os.getpid() % _PORT_SHARES, _FREE_RANGE.stop, _PORT_SHARES)
    ports: list[int] = []
    shuffled = (random.sample(port_range, len(port_range)) for port_range in (own_ports, _FREE_RANGE))
    for port in itertools.chain.from_iterable(shuffled):
        if port in _recent_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        _recent_ports.append(port)
        if len(ports) == count:
            return ports
    raise EnvironmentFault(
        "no port between 20000 and 32000 is free on this machine", fix="End programs that use these ports"
    )
