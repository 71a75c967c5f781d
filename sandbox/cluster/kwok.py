"""One cluster: made, started again and watched through kwokctl, all of it below the sandbox's home."""

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
from sandbox import processes
from sandbox.cluster.client import KubeClient
from sandbox.cluster.kubeconfig import Access
from sandbox.home import Home

KUBERNETES = "v1.36.3"
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

_KWOKCTL_S = 90.0
"""How long kwokctl may take: two seconds where nothing else runs."""
_DEAD_S = 2.0
"""A component that is away this long will not come back: kwokctl itself would wait for minutes."""


class StartFault(EnvironmentFault):
    """The cluster did not come up; another attempt, on other ports, may."""


@dataclass(frozen=True)
class Cluster:
    """The cluster of a site, at work or not."""

    home: Home
    site: str
    tools: Mapping[str, Path]
    """The binaries of `BINARIES`."""

    @property
    def name(self) -> str:
        return f"isthmus-{self.site}"

    @property
    def folder(self) -> Path:
        return self.home.kwok / "clusters" / self.name

    @property
    def access(self) -> Access:
        """Address and certificates, from what kwokctl wrote."""
        options = yaml_files.load(self.folder / "kubeconfig.yaml").data
        pki = self.folder / "pki"
        return Access(
            options["clusters"][0]["cluster"]["server"], pki / "ca.crt", pki / "admin.crt", pki / "admin.key"
        )

    def client(self) -> KubeClient:
        access = self.access
        return KubeClient(
            access.server,
            access.authority.read_text(),
            access.certificate.read_text(),
            access.key.read_text(),
        )

    def exists(self) -> bool:
        """Is there a cluster whose making was not cut off before its data and certificates were there?"""
        return (self.folder / "kwok.yaml").exists() and (self.folder / "kubeconfig.yaml").exists()

    def process_name(self, component: str) -> str:
        return f"{self.name}/{component}"

    def running(self) -> bool:
        """Do all the components run?"""
        alive = processes.alive(self.home)
        return all(self.process_name(component) in alive for component in COMPONENTS)

    def create(self) -> None:
        """Make the cluster on free ports and start it; does not wait for it to be ready."""
        self.remove()
        self.home.kwok.mkdir(parents=True, exist_ok=True)
        ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        configuration = {
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokctlConfiguration",
            "options": {
                "runtime": "binary",
                "kubeVersion": KUBERNETES,
                # etcd asks nobody who they are: it must not listen beyond this machine.
                "bindAddress": "127.0.0.1",
                "etcdBinary": str(self.tools["etcd"]),
                "kubeApiserverBinary": str(self.tools["kube-apiserver"]),
                "kubeControllerManagerBinary": str(self.tools["kube-controller-manager"]),
                "kubeSchedulerBinary": str(self.tools["kube-scheduler"]),
                "kwokControllerBinary": str(self.tools["kwok"]),
                **ports,
            },
            "componentsPatches": [
                # A sandbox survives the end of a process, not of the machine; syncing costs seconds.
                {"name": "etcd", "extraArgs": [{"key": "unsafe-no-fsync", "value": "true"}]},
                # Each model has a Service; the default's 254 addresses are too few for a large fleet.
                {
                    "name": "kube-apiserver",
                    "extraArgs": [{"key": "service-cluster-ip-range", "value": SERVICES}],
                },
                # With leases a KWOK that was killed keeps its nodes for minutes from the next one. Without,
                # nobody renews anything, so the control plane must not take silence for death.
                {"name": "kwok-controller", "extraArgs": [_instead("node-lease-duration-seconds", "0")]},
                {
                    "name": "kube-controller-manager",
                    "extraArgs": [_instead("node-monitor-grace-period", "87600h"), _ALONE],
                },
                {"name": "kube-scheduler", "extraArgs": [_ALONE]},
            ],
        }
        stages = (Path(__file__).parent / "stages.yaml").read_text("utf-8")
        file = self.home.kwok / f"{self.name}.yaml"
        yaml_files.write_text(file, f"{json.dumps(configuration, indent=1)}\n---\n{stages}")
        # kwokctl adds its own context to a kubeconfig; ours is written apart, this one is for nobody.
        unused = self.home.kwok / f"{self.name}.kubeconfig"
        self._kwokctl("create", "cluster", "--config", str(file), "--kubeconfig", str(unused))

    def start(self) -> None:
        """Start a cluster that exists and whose processes are gone, with the data that it had."""
        self.stop()
        for file in (self.folder / "pids").glob("*.pid"):
            file.unlink()  # of a process that is gone
        self._kwokctl("start", "cluster", "--config", str(self.home.kwok / f"{self.name}.yaml"))

    def stop(self) -> None:
        """End the components; the data stay."""
        recorded = processes.alive(self.home)
        mine = [recorded[name] for name in map(self.process_name, COMPONENTS) if name in recorded]
        strays = [process for process in processes.strays(self.home) if self._owns(process)]
        processes.end([*mine, *strays])

    def _owns(self, process: psutil.Process) -> bool:
        try:
            command = process.cmdline()
        except psutil.Error:
            return False
        # kwokctl itself, where a killed `up` left it behind, or a component of this cluster.
        return self.name in command or any(word.startswith(f"{self.folder}{os.sep}") for word in command)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def pids(self) -> dict[str, int]:
        """Process ids as kwokctl wrote them down, by component."""
        found: dict[str, int] = {}
        for component in COMPONENTS:
            try:
                found[component] = int((self.folder / "pids" / f"{component}.pid").read_text().strip())
            except (FileNotFoundError, ValueError):
                continue
        return found

    def await_ready(self, timeout_s: float = 60.0) -> KubeClient:
        """Wait for the API server; a component that ends meanwhile is a `StartFault` with its last words."""
        deadline = time.monotonic() + timeout_s
        client = self.client()
        while not client.ready():
            dead = self._dead()
            if dead or time.monotonic() > deadline:
                client.close()
                component = dead[0] if dead else "kube-apiserver"
                log = self.folder / "logs" / f"{component}.log"
                what = f"{component} ended" if dead else f"the API server was not ready in {timeout_s:.0f} s"
                raise StartFault(
                    f"the cluster {self.name} did not start: {what}. Its last words: {processes.tail(log)}",
                    where=str(log),
                    fix="Run `isthmus sandbox up` again; if it fails again, `isthmus sandbox down` first",
                )
            time.sleep(0.05)
        return client

    def _dead(self) -> list[str]:
        alive = processes.alive(self.home)
        return [component for component in COMPONENTS if self.process_name(component) not in alive]

    def _kwokctl(self, *arguments: str) -> None:
        command = [str(self.tools["kwokctl"]), *arguments, "--name", self.name]
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home.kwok),
            "KWOK_WORKDIR": str(self.home.kwok),
        }
        # Components inherit no pipe of ours: a pipe held open by them would never end.
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
        words = self.folder / "logs" / f"{dead}.log" if dead else log
        raise StartFault(
            f"kwokctl {arguments[0]} failed for {self.name}{f', {dead} ended' if dead else ''}. "
            f"Its last words: {processes.tail(words, 3)}",
            where=str(words),
            fix="Run `isthmus sandbox up` again; if it fails again, `isthmus sandbox down` first",
        )

    def _outcome(self, child: subprocess.Popen[bytes]) -> tuple[int | None, str | None]:
        """kwokctl's exit code, or the component that ended while kwokctl went on waiting for it."""
        deadline = time.monotonic() + _KWOKCTL_S
        dead_since: dict[str, float] = {}
        while time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return child.wait(timeout=0.1), None
            for component, pid in self.pids().items():
                if _alive(pid):
                    dead_since.pop(component, None)
                elif time.monotonic() - dead_since.setdefault(component, time.monotonic()) > _DEAD_S:
                    return None, component
        return None, None


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _instead(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": value, "override": True}


_ALONE = _instead("leader-elect", "false")
"""There is no other to elect; on a busy machine one that renews its lease too late would end itself."""


_FREE_RANGE = range(20000, 32000)
_PARTS = 16
_given: deque[int] = deque(maxlen=400)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that are free now, below the range the system gives to outgoing connections.

    A port is free until the program that it is for has started. So that two callers do not get the same one meanwhile,
    a process takes ports of its own part of the range first, and no port that it gave a short time ago.
    """
    first = range(_FREE_RANGE.start + os.getpid() % _PARTS, _FREE_RANGE.stop, _PARTS)
    found: list[int] = []
    shuffled = (random.sample(part, len(part)) for part in (first, _FREE_RANGE))
    for port in itertools.chain.from_iterable(shuffled):
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        _given.append(port)
        if len(found) == count:
            return found
    raise EnvironmentFault("no free ports between 20000 and 32000 on this machine", fix="End what holds them")
