"""The bank's stack in a project folder of its own, up for real, for the tests that bring it up and change it."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from isthmus.contracts.reports.preview import Preview
from isthmus.engine.preview import comparison as preview_comparison
from isthmus.engine.render.recorder import Resource
from tests.accounting import aws
from tests.laying import lay
from tests.sandbox import projects
from tests.sandbox.projects import Project


class Bank(Project):
    """The stack in a project folder of its own, in the shared sandbox."""

    def __init__(self, root: Path, sandbox: Any) -> None:
        super().__init__(root, "bank-dev", sandbox.env)
        self.sandbox = sandbox
        self.aws = aws.clients(sandbox.env)
        self.before: dict[str, set[str]] = {}
        """What other tests of this sandbox have left in AWS, by type."""
        self.kept: dict[str, set[str]] = {}
        """What the stack's first life left in AWS, by type."""
        self.dead = 0
        """Process id of a run that left its lock."""
        self.moved = ""
        """What the run said that moved the workloads."""

    def lay(self) -> None:
        """The bank's own files, as they are in the checkout."""
        lay(self.root, bank=True)

    def killed_after(self, line_start: str, *args: str) -> str:
        """`isthmus ARGS`, killed once a line of its progress begins so; what it said until then."""
        command = [sys.executable, "-m", "isthmus", *args, "--project", str(self.root)]
        lines: list[str] = []
        env = {name: value for name, value in self.env.items() if name not in projects.SPARING}
        with subprocess.Popen(
            command, cwd=self.root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as running:
            for line in running.stderr or ():
                lines.append(line)
                if line.strip().startswith(line_start):
                    break
            # The engine with it, as when a machine goes down: alone it would work on.
            whole = psutil.Process(running.pid)
            for process in [whole, *whole.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        assert lines[-1].strip().startswith(line_start), "".join(lines)[-3000:]
        return "".join(lines)

    def pods(self) -> list[dict[str, Any]]:
        return projects.pods(self.sandbox.client(), "app.kubernetes.io/part-of=isthmus")

    def previewed(self) -> Preview:
        """`isthmus preview` of it, whatever it finds."""
        done = self.isthmus("preview", "bank-dev", "--format", "json")
        assert done.stdout.startswith("{"), done.stderr[-3000:]
        # The alias of a path's class is the JSON's.
        return Preview.model_validate_json(done.stdout)

    def rendered(self) -> list[Resource]:
        """Its resources as `isthmus render` writes them."""
        folder = self.root / "out" / "rendered"
        self.must("render", "bank-dev", "-o", str(folder))
        return preview_comparison.resources_from_json(json.loads((folder / "graph.json").read_text()))

    @contextlib.contextmanager
    def kept_settings(self) -> Iterator[None]:
        """Afterwards the stack's settings are what they were before."""
        file = self.root / "stacks" / "Pulumi.bank-dev.yaml"
        before = file.read_text()
        try:
            yield
        finally:
            file.write_text(before)

    def edit(self, name: str, pattern: str, by: str) -> None:
        file = self.root / "stacks" / name
        changed, count = re.subn(pattern, by, file.read_text(), count=1)
        assert count, f"{pattern!r} is not in {name}"
        file.write_text(changed)

    def in_aws(self) -> dict[str, set[str]]:
        """What came to AWS since this stack began, by type."""
        listed = aws.listed(self.aws)
        return {kind: ids - self.before.get(kind, set()) for kind, ids in listed.items()}


def gpus(pod: dict[str, Any]) -> int:
    limits = [container.get("resources", {}).get("limits", {}) for container in pod["spec"]["containers"]]
    return sum(int(each.get("nvidia.com/gpu", 0)) for each in limits)


def placed(pods: list[dict[str, Any]], pools: dict[str, str]) -> Counter[str]:
    """Pods of each endpoint, each on its pool; no other pod has a GPU."""
    actual: Counter[str] = Counter()
    for pod in pods:
        endpoint = pod["metadata"]["labels"].get("isthmus.dev/endpoint")
        if endpoint in pools:
            assert pod["spec"]["nodeName"].startswith(pools[endpoint] + "-"), pod["metadata"]["name"]
            actual[endpoint] += 1
        else:
            assert gpus(pod) == 0
    return actual


def spread(pods: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Of each endpoint on GPUs, how many of its pods each node has."""
    nodes: dict[str, Counter[str]] = {}
    for pod in pods:
        if gpus(pod):
            endpoint = pod["metadata"]["labels"]["isthmus.dev/endpoint"]
            nodes.setdefault(endpoint, Counter())[pod["spec"]["nodeName"]] += 1
    return {endpoint: sorted(node.values()) for endpoint, node in nodes.items()}
