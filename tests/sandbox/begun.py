"""A stack begun by `isthmus init --sandbox` in a project folder and a sandbox of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.contracts import requirements as requirements_of
from isthmus.contracts import yamlfile
from sandbox import api
from sandbox.cluster import sites
from sandbox.cluster.client import KubeClient
from sandbox.environment import kept
from tests.accounting import aws, cluster

ROOT = Path(__file__).resolve().parents[2]


class Begun:
    """The stack; `requirements` are a file's, taken as they are."""

    def __init__(self, stack: str, requirements: Path, root: Path, home: Path, as_of: str) -> None:
        self.stack, self.root, self.home = stack, root, home
        stacks = root / "stacks"
        shutil.copytree(ROOT / "stacks", stacks, ignore=shutil.ignore_patterns("__pycache__", "*bank-dev*"))
        for name in ("Pulumi.yaml", "images.lock.yaml"):
            shutil.copy(ROOT / name, root)
        (root / ".venv").symlink_to(Path(sys.prefix))
        self.env = kept() | {"PYTHONPATH": str(ROOT)}
        self.must("init", stack, "--requirements", str(requirements), "--sandbox", "--as-of", as_of)
        self.requirements = stacks / f"{stack}.requirements.yaml"
        self.settings = stacks / f"Pulumi.{stack}.yaml"
        api.up(self.requirements, home=home)
        self.env = kept() | api.environment(home) | {"PYTHONPATH": str(ROOT)}
        self.aws_before = aws.listed(aws.clients(self.env)) if self.in_aws else {}

    @property
    def in_aws(self) -> bool:
        wanted = requirements_of.load(self.requirements)
        return any(site.kind == "aws" for site in wanted.sites)

    def isthmus(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self._run([sys.executable, "-m", "isthmus", *args, "--project", str(self.root)])

    def must(self, *args: str) -> str:
        """`isthmus ARGS`, which must succeed; its whole output."""
        done = self.isthmus(*args)
        assert done.returncode == 0, (done.stderr + done.stdout)[-4000:]
        return done.stderr + done.stdout

    def pulumi(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self._run(["pulumi", *args, "--stack", self.stack, "--non-interactive"])

    def unchanged(self, *args: str) -> None:
        done = self.pulumi("preview", "--expect-no-changes", *args)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]

    def override(self, **parts: list[dict[str, Any]]) -> None:
        """Lay further parts over the overrides, each merged with the part of its name."""
        from isthmus.contracts import overrides

        data = yamlfile.load(self.settings).data
        given = data["config"].setdefault("isthmus:overrides", {})
        data["config"]["isthmus:overrides"] = overrides.merge(given, parts)
        yamlfile.dump(data, "", self.settings)

    def state(self) -> list[dict[str, Any]]:
        return json.loads(self.pulumi("stack", "export").stdout)["deployment"].get("resources") or []

    def clusters(self) -> list[KubeClient]:
        contexts = [site.context for site in sites.read(self.requirements).sites]
        return [KubeClient.of(self.home / "kubeconfig", each) for each in contexts]

    def objects(self) -> set[tuple[str, str, str]]:
        """All that is ours in its clusters."""
        found: set[tuple[str, str, str]] = set()
        for client in self.clusters():
            found |= cluster.objects(client)
            client.close()
        return found

    def in_account(self) -> dict[str, set[str]]:
        """What came to AWS since before its first `up`, by type."""
        if not self.in_aws:
            return {}
        found = aws.listed(aws.clients(self.env))
        new = {kind: ids - self.aws_before.get(kind, set()) for kind, ids in found.items()}
        return {kind: ids for kind, ids in new.items() if ids}

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.root, env=self.env, capture_output=True, text=True, check=False
        )


@contextmanager
def begun(stack: str, requirements: Path, folder: Path, as_of: str = "2026-11-25") -> Iterator[Begun]:
    """The stack's files and its sandbox, which ends with it; nothing is up yet."""
    root, home = folder / "project", folder / "home"
    root.mkdir()
    try:
        yield Begun(stack, requirements, root, home, as_of)
    finally:
        api.down(home)
