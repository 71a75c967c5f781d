"""The bank's stack against a bare Pulumi program with the same resources, options, plugins and waits.

Two sandboxes stand side by side, one for each program, since both make objects of the same names.
What ours does more (contracts, catalogue, template, components) may cost at most 15 % or 1 s.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.bare import program_from_state, write_project
from bench.measure import Series, alternate, run, verdict

ROOT = Path(__file__).resolve().parents[1]
STACK = "bank-dev"
BANK = ROOT / "stacks" / f"{STACK}.requirements.yaml"
PREVIEWS, UPS = 7, 3
SHARE, SECONDS = 0.15, 1.0


class Side:
    """One program with a sandbox of its own."""

    def __init__(self, name: str, home: Path, project: Path, stack: str, requirements: Path = BANK) -> None:
        from sandbox import api
        from sandbox.environment import inherited_variables

        self.name, self.project, self.stack = name, project, stack
        api.up(requirements, home=home)
        self.env = inherited_variables() | api.environment(home)

    def pulumi(self, *words: str) -> float:
        return run(["pulumi", *words, "-s", self.stack, "--non-interactive"], cwd=self.project, env=self.env)

    def init(self) -> None:
        self.pulumi("stack", "select", "--create")

    def up(self) -> float:
        return self.pulumi("up", "--yes", "--skip-preview")

    def destroy(self) -> float:
        return self.pulumi("destroy", "--yes", "--skip-preview")

    def preview(self) -> float:
        return self.pulumi("preview")

    def state(self, stack: str | None = None) -> dict:
        command = ["pulumi", "stack", "export", "--show-secrets", "-s", stack or self.stack]
        done = subprocess.run(
            command, cwd=self.project, env=self.env, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)


def copy_project(target: Path) -> Path:
    """The checkout's program without its virtual environment, which stays where it is."""
    names = ("Pulumi.yaml", "images.lock.yaml", "stacks", "blueprints", "components", "isthmus", "policies")
    for name in names:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)
    (target / ".venv").symlink_to(ROOT / ".venv")
    return target


def _ups(side: Side) -> Callable[[], float]:
    def once() -> float:
        seconds = side.up()
        side.destroy()
        return seconds

    return once


def main() -> bool:
    from sandbox import api

    directory = Path(tempfile.mkdtemp(prefix="isthmus-bench-"))
    homes = [directory / "home-ours", directory / "home-bare"]
    try:
        project = directory / "ours"
        project.mkdir()
        ours = Side("isthmus", homes[0], copy_project(project), STACK)
        ours.init()
        ours.up()
        bare = Side("bare program", homes[1], directory / "bare", "bare")
        program = program_from_state(ours.state(), bare.env["KUBECONFIG"])
        write_project(directory / "bare", program, ROOT / ".venv")
        bare.init()
        bare.up()
        print(f"spine: {len(program)} resources, a preview of the unchanged stack")
        mine, other = alternate(PREVIEWS, ours.preview, bare.preview)
        fine = verdict(Series(ours.name, mine), Series(bare.name, other), share=SHARE, seconds=SECONDS)
        ours.destroy()
        bare.destroy()
        print("spine: up from nothing")
        mine, other = alternate(UPS, _ups(ours), _ups(bare))
        return (
            verdict(Series(ours.name, mine), Series(bare.name, other), share=SHARE, seconds=SECONDS) and fine
        )
    finally:
        for home in homes:
            api.down(home)
        shutil.rmtree(directory, ignore_errors=True)
