"""A stack begun by `isthmus init --sandbox` in a project folder and a sandbox of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.contracts.requirements import document as requirements_of
from isthmus.core import yaml_files
from isthmus.core.kubernetes_client import KubeClient
from sandbox import api
from sandbox.cluster import sites
from tests.accounting import aws, cluster
from tests.laying import lay
from tests.sandbox.projects import Project, standing


class Begun(Project):
    """The stack; `requirements` are a file's, taken as they are."""

    def __init__(self, stack: str, requirements: Path, root: Path, home: Path, as_of: str) -> None:
        super().__init__(root, stack)
        self.home = home
        stacks = lay(root)
        self.must("init", stack, "--requirements", str(requirements), "--sandbox", "--as-of", as_of)
        self.requirements = stacks / f"{stack}.requirements.yaml"
        self.settings = stacks / f"Pulumi.{stack}.yaml"
        api.up(self.requirements, home=home)
        self.env |= api.environment(home)
        self.aws_before = aws.listed(aws.clients(self.env)) if self.in_aws else {}

    @property
    def in_aws(self) -> bool:
        expected = requirements_of.load(self.requirements)
        return any(site.kind == "aws" for site in expected.sites)

    def override(self, **parts: list[dict[str, Any]]) -> None:
        """Lay further parts over the overrides, each merged with the part of its name."""
        from isthmus.contracts.platform import overrides

        data = yaml_files.load(self.settings).data
        values = data["config"].setdefault("isthmus:overrides", {})
        data["config"]["isthmus:overrides"] = overrides.merge(values, parts)
        yaml_files.dump(data, "", self.settings)

    def clusters(self) -> list[KubeClient]:
        contexts = [site.context for site in sites.read(self.requirements).sites]
        return [KubeClient.from_kubeconfig(self.home / "kubeconfig", each) for each in contexts]

    def objects(self) -> set[tuple[str, str, str]]:
        """All that is ours in its clusters."""
        actual: set[tuple[str, str, str]] = set()
        for client in self.clusters():
            actual |= cluster.objects(client)
            client.close()
        return actual

    def in_account(self) -> dict[str, set[str]]:
        """What came to AWS since before its first `up`, by type."""
        if not self.in_aws:
            return {}
        listed = aws.listed(aws.clients(self.env))
        new = {kind: ids - self.aws_before.get(kind, set()) for kind, ids in listed.items()}
        return {kind: ids for kind, ids in new.items() if ids}


@contextmanager
def begun(stack: str, requirements: Path, folder: Path, as_of: str = "2026-11-25") -> Iterator[Begun]:
    """The stack's files and its sandbox, which ends with it; nothing is up yet."""
    with standing(lambda root, home: Begun(stack, requirements, root, home, as_of), folder) as project:
        yield project
