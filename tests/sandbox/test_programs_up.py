"""Programs of users: one in Pulumi YAML, and what `pulumi new` makes of our templates. Up for real, and down."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.core.kubernetes_client import KubeClient
from sandbox import api
from sandbox.environment import inherited_variables
from sandbox.toolchain import find, install
from tests.sandbox.projects import SPARING
from tests.sandbox.small_project import REQUIREMENTS

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).resolve().parents[2]
NODE = "fra1-l40s-48gb-0"


class World:
    """A small sandbox, and programs that run in it."""

    def __init__(self, folder: Path, home: Path) -> None:
        from isthmus.core import yaml_files

        self.folder, self.home = folder, home
        expected = folder / "small.requirements.yaml"
        yaml_files.dump(REQUIREMENTS, "", expected)
        api.up(expected, home=self.home)
        self.env = inherited_variables() | api.environment(self.home) | SPARING | {"PYTHONPATH": str(ROOT)}
        self.cluster = KubeClient.from_kubeconfig(self.home / "kubeconfig", "fra1")

    def run(self, *command: str, at: Path, fails: bool = False, **env: str) -> str:
        done = subprocess.run(
            command, cwd=at, env=self.env | env, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) == fails, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def configure(self, at: Path, package: str) -> None:
        file = str(self.home / "kubeconfig")
        for key, value in (
            (f"{package}kubeconfig", file),
            (f"{package}context", "fra1"),
            ("node", NODE),
        ):
            self.run("pulumi", "config", "set", key, value, "--stack", "dev", at=at)

    def up(self, at: Path, deployment: str, package: str = "") -> None:
        """Up, with the model's pod on its machine. `package`: whose settings name the cluster."""
        self.run("pulumi", "stack", "init", "dev", at=at)
        self.configure(at, package)
        self.run("pulumi", "up", "--yes", "--skip-preview", "--stack", "dev", at=at)
        outputs = json.loads(self.run("pulumi", "stack", "output", "--json", "--stack", "dev", at=at))
        assert outputs["service"] == f"{deployment}.isthmus-internal.svc:8443"
        path = f"/apis/apps/v1/namespaces/isthmus-internal/deployments/{deployment}"
        assert self.cluster.get(path)["status"]["readyReplicas"] == 1
        assert "isthmus.dev/pool" in self.cluster.get(f"/api/v1/nodes/{NODE}")["metadata"]["labels"]

    def down(self, at: Path, deployment: str) -> None:
        """Unchanged, and gone again."""
        self.run("pulumi", "preview", "--expect-no-changes", "--stack", "dev", at=at)
        self.run("pulumi", "destroy", "--yes", "--skip-preview", "--stack", "dev", at=at)
        path = f"/apis/apps/v1/namespaces/isthmus-internal/deployments/{deployment}"
        assert self.cluster.find(path) is None


@pytest.fixture(scope="module")
def world(site_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    new_world = World(tmp_path_factory.mktemp("programs"), site_home)
    yield new_world
    new_world.cluster.close()


def new(world: World, template: str, name: str) -> Path:
    """`pulumi new`, as a user calls it, with nothing but the template's folder."""
    at = world.folder / name
    at.mkdir()
    template_folder = str(ROOT / "templates" / template)
    output = world.run(
        *("pulumi", "new", template_folder, "--generate-only", "--yes", "--non-interactive"),
        *("--name", name, "--description", "Made by a test"),
        at=at,
    )
    assert "Your new project is ready" in output or "Created project" in output, output
    (at / ".venv").symlink_to(Path(sys.prefix))
    return at


def test_a_program_in_yaml_makes_a_pool_and_a_model_server(world: World) -> None:
    if find("pulumi-language-yaml") is None:
        install(tools=["language-yaml"])
    host = find("pulumi-language-yaml")
    assert host is not None
    at = world.folder / "yaml"
    shutil.copytree(ROOT / "tests" / "programs" / "yaml", at)
    program = at / "Pulumi.yaml"
    program.write_text(program.read_text().replace("../../../components", str(ROOT / "components")))
    world.env["PATH"] = f"{host.parent}{os.pathsep}{world.env['PATH']}"
    world.up(at, "yaml-qwen3", "kubernetes:")
    world.down(at, "yaml-qwen3")


def test_the_template_of_components_makes_a_program_that_goes_up(world: World) -> None:
    at = new(world, "isthmus-components", "two-components")
    text = (at / "Pulumi.yaml").read_text()
    assert "name: two-components" in text
    assert "\ntemplate:" not in text, "it is the template's own"
    world.up(at, "qwen3-14b")


def test_the_template_of_an_estate_is_planned_and_rendered_by_the_documented_commands(world: World) -> None:
    at = new(world, "isthmus-estate", "isthmus")
    isthmus = (sys.executable, "-m", "isthmus")
    world.run(*isthmus, "plan", "stacks/dev.requirements.yaml", "-o", "stacks/dev.plan.yaml", at=at)
    world.run(*isthmus, "render", "dev", "-o", "out/dev", "--project", str(at), at=at)
    graph = json.loads((at / "out" / "dev" / "graph.json").read_text())
    assert any("ModelServer" in resource["urn"] for resource in graph["resources"])
    # The engine takes the same program from the same three files.
    world.run("pulumi", "stack", "init", "dev", at=at)
    shown = world.run("pulumi", "preview", "--stack", "dev", at=at)
    assert "Deployment" in shown or "ModelServer" in shown
