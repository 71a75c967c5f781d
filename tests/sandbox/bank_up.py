"""The bank's stack in a project folder of its own, up for real, for the tests that bring it up and change it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from tests.accounting import aws

ROOT = Path(__file__).resolve().parents[2]


class Bank:
    """The stack in a project folder of its own, in the shared sandbox."""

    def __init__(self, root: Path, sandbox: Any) -> None:
        self.root = root
        self.sandbox = sandbox
        self.aws = aws.clients(sandbox.env)
        self.before: dict[str, set[str]] = {}
        """What other tests of this sandbox have left in AWS, by type."""
        self.kept: dict[str, set[str]] = {}
        """What the stack's first life left in AWS, by type."""
        self.moved = ""
        """What the run said that moved the workloads."""

    def lay(self) -> None:
        """The bank's own files, as they are in the checkout."""
        shutil.copytree(
            ROOT / "stacks",
            self.root / "stacks",
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )

    def isthmus(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self._run([sys.executable, "-m", "isthmus", *args, "--project", str(self.root)])

    def up(self) -> str:
        """`isthmus up`; its whole output, stdout and stderr."""
        done = self.isthmus("up", "bank-dev", "--yes")
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stderr + done.stdout

    def killed_after(self, said: str, *args: str) -> str:
        """`isthmus ARGS`, killed once a line of its progress begins so; what it said until then."""
        command = [sys.executable, "-m", "isthmus", *args, "--project", str(self.root)]
        env = self.sandbox.env | {"PYTHONPATH": str(ROOT)}
        lines: list[str] = []
        with subprocess.Popen(
            command, cwd=self.root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as running:
            for line in running.stderr or ():
                lines.append(line)
                if line.strip().startswith(said):
                    break
            # The engine with it, as when a machine goes down: alone it would work on.
            whole = psutil.Process(running.pid)
            for one in [whole, *whole.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
        assert lines[-1].strip().startswith(said), "".join(lines)[-3000:]
        return "".join(lines)

    def pulumi(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self._run(["pulumi", *args, "--stack", "bank-dev", "--non-interactive"])

    def state(self) -> list[dict[str, Any]]:
        exported = self.pulumi("stack", "export")
        assert exported.returncode == 0, exported.stderr
        return json.loads(exported.stdout)["deployment"].get("resources") or []

    def pods(self) -> list[dict[str, Any]]:
        listed = self.sandbox.client().get("/api/v1/pods?labelSelector=app.kubernetes.io/part-of=isthmus")
        return [pod for pod in listed["items"] if not pod["metadata"].get("deletionTimestamp")]

    def edit(self, name: str, pattern: str, by: str) -> None:
        file = self.root / "stacks" / name
        changed, count = re.subn(pattern, by, file.read_text(), count=1)
        assert count, f"{pattern!r} is not in {name}"
        file.write_text(changed)

    def in_aws(self) -> dict[str, set[str]]:
        """What came to AWS since this stack began, by type."""
        found = aws.listed(self.aws)
        return {kind: ids - self.before.get(kind, set()) for kind, ids in found.items()}

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        env = self.sandbox.env | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)


def eventually(look: Any, wanted: Any, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not wanted(found := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def gpus(pod: dict[str, Any]) -> int:
    limits = [each.get("resources", {}).get("limits", {}) for each in pod["spec"]["containers"]]
    return sum(int(each.get("nvidia.com/gpu", 0)) for each in limits)
