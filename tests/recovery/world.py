"""A sandbox and a copy of the bank's project of their own, to be broken."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from isthmus.contracts.requirements import document as requirements_document
from isthmus.core import yaml_files
from isthmus.core.kubernetes_client import KubeClient
from isthmus.engine.kubernetes import watchdog
from sandbox import api, processes
from sandbox.environment import inherited_variables
from sandbox.home import Home
from tests.accounting import aws, cluster
from tests.laying import lay
from tests.sandbox import small_project

ROOT = Path(__file__).resolve().parents[2]
STACK = "bank-dev"
PROVIDERS = {"provider": "pulumi-resource-kubernetes", "aws-provider": "sandbox.aws.plugin"}
LONGEST_S = 300


@dataclass(frozen=True)
class Ended:
    """A finished command."""

    code: int
    said: str
    seconds: float

    @property
    def error(self) -> str:
        """The paragraph that `isthmus` ended with."""
        return paragraph(self.said)


def paragraph(output: str) -> str:
    """What `isthmus` ended with; empty where it ended well, or was killed."""
    lines = [line for line in output.splitlines() if line.startswith("isthmus: ")]
    return lines[-1].removeprefix("isthmus: ") if lines else ""


class World:
    """Everything below one folder; `close` ends all of it."""

    def __init__(self, base: Path, stack: str = STACK) -> None:
        self.base, self.stack = base, stack
        self.home = base / "home"
        self.root = base / "project"
        self.built = False
        """Whether the stack is up and as a clean run leaves it."""
        self._running: list[subprocess.Popen[str]] = []

    def fresh(self) -> None:
        """An empty cluster, an empty AWS, an empty state and the project as it is in the checkout."""
        self.close()
        self.built = False
        shutil.rmtree(self.home / "pulumi-state", ignore_errors=True)
        shutil.rmtree(self.root, ignore_errors=True)
        self.lay()
        (self.root / ".venv").symlink_to(sys.prefix)
        self.mend()

    def lay(self) -> None:
        """The project's files, as they are in the checkout."""
        lay(self.root, bank=True)

    def mend(self) -> None:
        """`isthmus sandbox up`: what was killed comes back, AWS empty."""
        api.up(self.root / "stacks" / f"{self.stack}.requirements.yaml", home=self.home)

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                processes.end_processes([psutil.Process(process.pid)])
            process.communicate()
        self._running.clear()
        api.down(self.home)

    @property
    def env(self) -> dict[str, str]:
        # What is killed stays dead until the run has ended: no use in the two minutes of a restart.
        variables = {"ISTHMUS_HOME": str(self.home), "PYTHONPATH": str(ROOT), watchdog.VARIABLE: "20"}
        return inherited_variables() | variables | api.environment(self.home)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`isthmus WORDS STACK --yes`, running; stderr to be read while it does. The log begins anew with it."""
        self._log.unlink(missing_ok=True)
        return self._popen(
            [sys.executable, "-m", "isthmus", arguments[0], self.stack, "--yes", *arguments[1:]]
        )

    def isthmus(self, *arguments: str) -> Ended:
        """The same, ended."""
        return self._ended(self.start(*arguments))

    def pulumi(self, *arguments: str) -> Ended:
        return self._ended(self._popen(["pulumi", *arguments, "--stack", self.stack, "--non-interactive"]))

    def state(self) -> dict:
        """The deployment, as exported."""
        return json.loads(self.pulumi("stack", "export").said)["deployment"]

    def in_aws(self) -> Counter[str]:
        """How many there are in AWS, by type."""
        return aws.counted(aws.clients(self.env))

    def in_cluster(self, context: str = "fra1") -> Counter[str]:
        """What there is of ours in the cluster, by kind and name."""
        client = KubeClient.from_kubeconfig(self.home / "kubeconfig", context)
        try:
            return cluster.counted(client)
        finally:
            client.close()

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / "stacks" / file
        text = path.read_text("utf-8")
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new), "utf-8")

    def log_lines(self, text: str) -> int:
        """How many lines of the engine's log hold the word."""
        return self._log.read_text("utf-8").count(text) if self._log.exists() else 0

    @property
    def _log(self) -> Path:
        return self.root / "out" / "logs" / f"{self.stack}.log"

    def kill(self, part: str, run: subprocess.Popen[str]) -> list[str]:
        """SIGKILL it, and name what was killed."""
        killed = []
        for process in self._victims(part, run):
            try:
                name = Path(process.cmdline()[0]).name
                process.kill()
            except psutil.Error:
                continue
            killed.append(name)
        return killed

    def _victims(self, part: str, run: subprocess.Popen[str]) -> Iterator[psutil.Process]:
        me = psutil.Process(run.pid)
        children = me.children(recursive=True)
        if part == "cli":
            # The parent first, so that it cannot say anything about its child.
            yield me
            yield from (process for process in children if _name(process) == "pulumi")
        elif part in PROVIDERS:
            yield from (
                process
                for process in children
                if any(PROVIDERS[part] in argument for argument in _line(process))
            )
        else:
            for stray in processes.find_strays(Home.at(self.home)):
                moto = "sandbox.aws.endpoint" in _line(stray)
                if {"api-server": _name(stray) == "kube-apiserver", "cluster": not moto, "moto": moto}[part]:
                    yield stray

    def _popen(self, command: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        return process

    def _ended(self, process: subprocess.Popen[str]) -> Ended:
        started = time.monotonic()
        out, err = process.communicate(timeout=LONGEST_S)
        return Ended(process.returncode, out if not err else err + out, time.monotonic() - started)


class SmallWorld(World):
    """The same with a stack of two models on premises: a quarter of the resources, and nothing in AWS."""

    def __init__(self, base: Path) -> None:
        super().__init__(base, "small")

    def lay(self) -> None:
        stacks = lay(self.root)
        yaml_files.dump(small_project.REQUIREMENTS, "", stacks / "small.requirements.yaml")
        digest = requirements_document.load(stacks / "small.requirements.yaml").digest
        yaml_files.dump({**small_project.PLAN, "requirements_sha256": digest}, "", stacks / "small.plan.yaml")
        images = small_project.OVERRIDES["images"]
        # Another digest is an update, so it must not read the same from its end.
        edge = f"registry.example/isthmus/edge@sha256:{'ab' * 32}"
        config = {
            "pulumi:disable-default-providers": ["*"],
            "isthmus:sandbox": "true",
            "isthmus:overrides": {**small_project.OVERRIDES, "images": {**images, "edge": edge}},
        }
        yaml_files.dump({"config": config}, "", stacks / "Pulumi.small.yaml")


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _name(process: psutil.Process) -> str:
    line = _line(process)
    return Path(line[0]).name if line else ""
