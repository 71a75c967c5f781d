"""One sandbox for the whole run, shared by all xdist workers.

The first to need it brings it up, the last to leave takes it down.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from isthmus.core.kubernetes_client import KubeClient
from sandbox import api
from sandbox.cluster.kwok import BINARIES
from sandbox.environment import inherited_variables
from sandbox.toolchain import find, path_entries

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ("pulumi", "pulumi-language-python", "pulumi-resource-kubernetes")


@dataclass
class Sandbox:
    """A sandbox that is up."""

    home: Path
    requirements: Path
    env: dict[str, str]
    """The whole environment for a subprocess: this process' own with the sandbox's over it."""
    _clients: dict[str, KubeClient] = field(default_factory=dict)

    def client(self, context: str = "fra1") -> KubeClient:
        """A client of the cluster with this context; the same one every time."""
        if context not in self._clients:
            self._clients[context] = KubeClient.from_kubeconfig(self.home / "kubeconfig", context)
        return self._clients[context]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


@pytest.fixture(scope="session", autouse=True)
def toolchain() -> Iterator[dict[str, Path]]:
    """Every program by name, and on PATH. Missing ones fail the test: what was not run must not look green."""
    actual = {name: find(name) for name in (*BINARIES, *ENGINE)}
    missing = [name for name, path in actual.items() if path is None]
    if missing:
        pytest.fail(f"the toolchain lacks {', '.join(missing)}: run `isthmus sandbox install`")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(
            "PATH", os.pathsep.join([*map(str, path_entries()), os.environ.get("PATH", os.defpath)])
        )
        yield {name: path for name, path in actual.items() if path is not None}


@pytest.fixture(scope="session")
def sandbox(toolchain: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The shared sandbox, up with the bank's requirements (context `fra1`)."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    home, users = shared / "sandbox-home", shared / "sandbox-users.json"
    lock = FileLock(shared / "sandbox-users.lock")
    requirements = ROOT / "stacks" / "bank-dev.requirements.yaml"
    try:
        with lock:
            _write(users, _living(users) | {os.getpid()})
            api.up(requirements, home=home)
        actual = Sandbox(home, requirements, inherited_variables() | api.environment(home))
        try:
            yield actual
        finally:
            actual.close()
    finally:
        with lock:
            left = _living(users) - {os.getpid()}
            _write(users, left)
            if not left:
                api.down(home)


@pytest.fixture(scope="session")
def site_home(toolchain: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a sandbox with the site `fra1`, in which the stacks of several files are up one after the other."""
    home = tmp_path_factory.mktemp("site") / "home"
    try:
        yield home
    finally:
        api.down(home)


def _living(users: Path) -> set[int]:
    """Workers that use the sandbox; one that was killed does not keep it up."""
    return {
        pid for pid in (json.loads(users.read_text()) if users.exists() else []) if psutil.pid_exists(pid)
    }


def _write(users: Path, pids: set[int]) -> None:
    users.write_text(json.dumps(sorted(pids)))
