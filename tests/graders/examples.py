"""What the graders grade: every stack of the repository and every example, rendered as `isthmus render` does it.

An example has requirements only, so it becomes a stack by `isthmus init --sandbox` first.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from isthmus.cli import main
from isthmus.core import yaml_files
from isthmus.engine.project import project
from isthmus.engine.render import files as render_files
from isthmus.engine.render import gitops, rendering
from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.resources import Graph
from isthmus.reports.stack import network_diagram
from tests.laying import lay

ROOT = Path(__file__).resolve().parents[2]
AS_OF = "2026-11-25"
INFEASIBLE = frozenset({"bank-infeasible"})
"""Examples of which the planner says that they cannot be (tests/planning/test_planner.py)."""

FORMS: tuple[gitops.Form, ...] = ("argocd", "flux")


@dataclass(frozen=True)
class Rendering:
    """One rendered stack, as files."""

    name: str
    folder: Path

    @cached_property
    def platform(self) -> dict[str, Any]:
        """The validated platform: what the classes allow, said by the plan and not by the manifests."""
        return yaml_files.load(self.folder / "platform.yaml").data

    @cached_property
    def stack(self) -> project.Stack:
        """The stack that it is a rendering of."""
        return project.find_project(self.folder.parent / ".project").stack(self.name)

    @cached_property
    def resources(self) -> list[Resource]:
        """The same in memory, rendered anew."""
        return rendering.render(self.stack).resources

    @property
    def blueprint(self) -> str:
        return self.platform["blueprint"]

    @property
    def manifests(self) -> list[Path]:
        return sorted(self.folder.glob("kubernetes/*/*/*.yaml"))

    @property
    def aws(self) -> list[Path]:
        return sorted(self.folder.glob("aws/*/*.json"))


def data(name: str) -> Any:
    """One of the lists in `data/`."""
    return YAML(typ="safe").load(Path(__file__).parent / "data" / f"{name}.yaml")


def stacks() -> list[str]:
    return sorted(path.name.split(".")[1] for path in (ROOT / "stacks").glob("Pulumi.*.yaml"))


def examples() -> list[str]:
    """Examples that a plan is possible for."""
    names = {path.name.split(".")[0] for path in (ROOT / "examples").glob("*.requirements.yaml")}
    return sorted(names - INFEASIBLE)


def names() -> list[str]:
    return [*stacks(), *examples()]


def all_of(folder: Path) -> list[Rendering]:
    """Those that `write` put there."""
    return [Rendering(name, folder / name) for name in names()]


def write(target: Path) -> None:
    """Render all of them into folders of their names."""
    root = target / ".project"
    lay(root, bank=True)
    for name in examples():
        init_example(name, root)
    with rendering.without_garbage_collection():
        for name in names():
            render_example(name, root, target / name)


def render_example(name: str, root: Path, folder: Path) -> Rendering:
    """A project's stack, rendered into a folder."""
    stack = project.find_project(root).stack(name)
    platform = stack.platform()
    resources = rendering.render(stack)
    files = render_files.build_files(
        resources, platform.model_dump(mode="json", by_alias=True, exclude_none=True)
    )
    graph = Graph(resources.resources)
    files |= {
        "network.mmd": network_diagram.draw_network(graph, platform),
        "identities.mmd": network_diagram.draw_identities(graph),
    }
    # As `isthmus render --for` lays them out; in folders that no grader reads.
    for form in FORMS if name in stacks() else ():
        laid_out, _ = gitops.build_gitops_files(resources.resources, name, form, "isthmus")
        files |= {f"for-{form}/{path}": text for path, text in laid_out.items()}
    render_files.write_folder(files, folder, name)
    return Rendering(name, folder)


def init_example(name: str, root: Path) -> None:
    """An example's three files, as `isthmus init` leaves them; what only an organisation knows is made up by it."""
    requirements = ROOT / "examples" / f"{name}.requirements.yaml"
    arguments = [
        "init",
        name,
        "--requirements",
        str(requirements),
        "--sandbox",
        "--as-of",
        AS_OF,
        "--project",
        str(root),
    ]
    string_io = io.StringIO()
    with contextlib.redirect_stdout(string_io), contextlib.redirect_stderr(string_io):
        code = main(arguments)
    assert code == 0, f"`isthmus {' '.join(arguments)}` ended with {code}: {string_io.getvalue()[-2000:]}"
