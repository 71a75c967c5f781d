"""Projects in folders of their own, worked as a user works them: by `isthmus` and the engine, in their folder."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from isthmus.contracts.requirements import document as requirements_document
from isthmus.core import yaml_files
from isthmus.core.kubernetes_client import KubeClient
from sandbox import api
from sandbox.environment import inherited_variables
from tests import preloaded
from tests.laying import FILES, ROOT, lay

SPARING = {"PULUMI_SKIP_CHECKPOINTS": "true"}
"""The engine writes its state, of megabytes, when a run ends and not at each step: half of the processor time of
an `up`, two thirds of a `destroy`'s. Not where a run is killed."""


def pods(client: KubeClient, labels: str) -> list[dict[str, Any]]:
    """Pods of these labels that are not on their way out."""
    listed = client.get(f"/api/v1/pods?labelSelector={labels}")["items"]
    return [pod for pod in listed if not pod["metadata"].get("deletionTimestamp")]


class Project:
    """A folder with a project's files, and the stack in it that commands are for unless they name another."""

    def __init__(self, root: Path, stack: str, env: dict[str, str] | None = None) -> None:
        self.root, self.stack = root, stack
        self.env = (inherited_variables() if env is None else env) | SPARING | {"PYTHONPATH": str(ROOT)}
        self.env |= preloaded.lay_interpreter(root / ".venv")

    def isthmus(self, *args: str) -> subprocess.CompletedProcess[str]:
        return preloaded.isthmus([*args, "--project", str(self.root)], self.root, self.env)

    def must(self, *args: str) -> str:
        """`isthmus ARGS`, which must succeed; its whole output, stderr and stdout."""
        done = self.isthmus(*args)
        assert done.returncode == 0, (done.stderr + done.stdout)[-4000:]
        return done.stderr + done.stdout

    def up(self) -> str:
        return self.must("up", self.stack, "--yes")

    def up_as_approved(self, *stacks: str) -> str:
        """What a preview of them says is approved as a whole, and built."""
        file = str(self.root / "approved.json")
        names = stacks or (self.stack,)
        self.must("preview", *names, "--format", "json", "-o", file, "--fail-on", "undecided")
        return self.must("up", *names, "--yes", "--approved", file)

    def pulumi(self, *args: str, stack: str = "") -> subprocess.CompletedProcess[str]:
        return self.run("pulumi", *args, "--stack", stack or self.stack, "--non-interactive")

    def unchanged(self, *args: str, stack: str = "") -> None:
        """A preview finds nothing to change."""
        done = self.pulumi("preview", "--expect-no-changes", *args, stack=stack)
        assert done.returncode == 0, (stack, (done.stdout + done.stderr)[-4000:])

    def state(self, stack: str = "") -> list[dict[str, Any]]:
        exported = self.pulumi("stack", "export", stack=stack)
        assert exported.returncode == 0, exported.stderr
        return json.loads(exported.stdout)["deployment"].get("resources") or []

    def held(self, stack: str = "") -> list[str]:
        """URNs of all that the stack's state holds but the stack itself."""
        return [
            resource["urn"] for resource in self.state(stack) if resource["type"] != "pulumi:pulumi:Stack"
        ]

    def close(self) -> None:
        """Close what it keeps open."""

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.root, env=self.env, capture_output=True, text=True, check=False
        )


P = TypeVar("P", bound=Project)


class Alone(Project):
    """A stack in a sandbox of its own; its requirements, plan and overrides are written, then it may `begin`."""

    cluster: KubeClient

    def __init__(self, root: Path, home: Path, stack: str, files: tuple[str, ...] = FILES) -> None:
        super().__init__(root, stack)
        self.home = home
        self.stacks = lay(root, files=files)
        self.requirements = self.stacks / f"{stack}.requirements.yaml"
        self.settings = self.stacks / f"Pulumi.{stack}.yaml"

    def plan(self, plan: dict[str, Any]) -> None:
        """This is the plan of its requirements."""
        digest = requirements_document.load(self.requirements).digest
        yaml_files.dump({**plan, "requirements_sha256": digest}, "", self.stacks / f"{self.stack}.plan.yaml")

    def settle(self, overrides: dict[str, Any]) -> None:
        """These are all its overrides."""
        config = {
            "pulumi:disable-default-providers": ["*"],
            "isthmus:sandbox": "true",
            "isthmus:overrides": overrides,
        }
        yaml_files.dump({"config": config}, "", self.settings)

    def begin(self, context: str) -> None:
        """Its sandbox, with the cluster of this context."""
        api.up(self.requirements, home=self.home)
        self.env |= api.environment(self.home)
        self.cluster = KubeClient.from_kubeconfig(self.home / "kubeconfig", context)

    def close(self) -> None:
        self.cluster.close()


@contextmanager
def standing(make: Callable[[Path, Path], P], folder: Path, shared: Path | None = None) -> Iterator[P]:
    """What `make` makes of a project's folder and a sandbox's home. The sandbox ends with it.

    `shared`: the home of a sandbox that other stacks use afterwards. It stays up, and the stack is destroyed.
    """
    root, home = folder / "project", shared or folder / "home"
    root.mkdir()
    try:
        created = make(root, home)
        yield created
        if shared and created.held():
            created.must("destroy", created.stack, "--yes")
        created.close()
    finally:
        if not shared:
            api.down(home)
