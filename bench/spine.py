"""Compares the bank's stack with a bare Pulumi program that has the same resources, options, plugins and waits.

Each program has its own sandbox, because both create objects with the same names. The additional work of Isthmus
(contracts, catalogue, template, components) may cost at most 15 % or 1 s.
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


class SandboxedProgram:
    """A Pulumi program with its own sandbox."""

    def __init__(self, name: str, home: Path, project: Path, stack: str, requirements: Path = BANK) -> None:
        from sandbox import api
        from sandbox.environment import inherited_variables

        self.name, self.project, self.stack = name, project, stack
        api.up(requirements, home=home)
        self.env = inherited_variables() | api.environment(home)

    def pulumi(self, *arguments: str) -> float:
        return run(
            ["pulumi", *arguments, "-s", self.stack, "--non-interactive"], cwd=self.project, env=self.env
        )

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
        process = subprocess.run(
            command, cwd=self.project, env=self.env, capture_output=True, text=True, check=True
        )
        return json.loads(process.stdout)


def copy_project(target: Path) -> Path:
    """Copy the checkout's program. Its virtual environment is a symbolic link."""
    names = ("Pulumi.yaml", "images.lock.yaml", "stacks", "blueprints", "components", "isthmus", "policies")
    for name in names:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)
    (target / ".venv").symlink_to(ROOT / ".venv")
    return target


def _timed_up(program: SandboxedProgram) -> Callable[[], float]:
    def once() -> float:
        seconds = program.up()
        program.destroy()
        return seconds

    return once


def main() -> bool:
    from sandbox import api

    directory = Path(tempfile.mkdtemp(prefix="isthmus-bench-"))
    homes = [directory / "home-ours", directory / "home-bare"]
    try:
        project = directory / "ours"
        project.mkdir()
        isthmus = SandboxedProgram("isthmus", homes[0], copy_project(project), STACK)
        isthmus.init()
        isthmus.up()
        bare = SandboxedProgram("bare program", homes[1], directory / "bare", "bare")
        program = program_from_state(isthmus.state(), bare.env["KUBECONFIG"])
        write_project(directory / "bare", program, ROOT / ".venv")
        bare.init()
        bare.up()
        print(f"spine: {len(program)} resources, a preview of the unchanged stack")
        isthmus_seconds, bare_seconds = alternate(PREVIEWS, isthmus.preview, bare.preview)
        is_within = verdict(
            Series(isthmus.name, isthmus_seconds),
            Series(bare.name, bare_seconds),
            share=SHARE,
            seconds=SECONDS,
        )
        isthmus.destroy()
        bare.destroy()
        print("spine: up from nothing")
        isthmus_seconds, bare_seconds = alternate(UPS, _timed_up(isthmus), _timed_up(bare))
        return (
            verdict(
                Series(isthmus.name, isthmus_seconds),
                Series(bare.name, bare_seconds),
                share=SHARE,
                seconds=SECONDS,
            )
            and is_within
        )
    finally:
        for home in homes:
            api.down(home)
        shutil.rmtree(directory, ignore_errors=True)
