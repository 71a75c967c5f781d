"""Fixtures: a copy of the project's stacks that a test may break, and the command line as a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from isthmus.contracts import images_lock
from tests import preloaded
from tests.contracts.bank import DIGEST
from tests.laying import lay

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class CommandResult:
    """What one call of `isthmus` did."""

    code: int
    out: str
    err: str


Isthmus = Callable[..., CommandResult]


def command(home: Path) -> Isthmus:
    """Call `isthmus ARGS…` with no sandbox, no cluster and no engine's state around: nothing is at `home`."""

    def call(*args: str | Path, cwd: Path = ROOT, **env: str) -> CommandResult:
        surroundings = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PULUMI_", "AWS_", "ISTHMUS_", "KUBECONFIG"))
        }
        surroundings |= {"ISTHMUS_HOME": str(home), "PYTHONPATH": str(ROOT), **env}
        done = preloaded.isthmus([*map(str, args)], cwd, surroundings)
        return CommandResult(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def isthmus(tmp_path: Path) -> Isthmus:
    return command(tmp_path / "no-home")


def resolve(project: Path, *, but: str = "") -> None:
    """Give all in the lock a digest, as a stack outside the sandbox needs it; `but` one by name."""
    file = project / images_lock.FILE
    lock = images_lock.load(file)
    images, charts = ({name: DIGEST for name in part if name != but} for part in (lock.images, lock.charts))
    file.write_text(images_lock.text(lock.with_digests(images, charts)))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project's stacks in a folder of their own, to change at will."""
    copy = tmp_path / "project"
    lay(copy, bank=True)
    return copy
