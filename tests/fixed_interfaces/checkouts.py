"""Renders every stack and example with the code of a checkout, and shows how two renderings differ.

Only the command line and the files of a project are used, so the checkout may be of another version.
"""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from pathlib import Path

AS_OF = "2026-11-25"
_SCRIPT = """
import importlib, shutil, sys, tomllib
from pathlib import Path

checkout, target, as_of = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
module, function = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["scripts"]["isthmus"].split(":")
isthmus = getattr(importlib.import_module(module), function)
project = target / ".project"
shutil.copytree(checkout / "stacks", project / "stacks", ignore=shutil.ignore_patterns("__pycache__"))
for name in ("Pulumi.yaml", "images.lock.yaml"):
    shutil.copy(checkout / name, project)
names = sorted(path.name.split(".")[1] for path in (checkout / "stacks").glob("Pulumi.*.yaml"))
renders = [(name, f"{name}/for-{form}", ["--for", form]) for name in names for form in ("argocd", "flux")]
for path in sorted((checkout / "examples").glob("*.requirements.yaml")):
    name = path.name.split(".")[0]
    words = ["--requirements", str(path), "--sandbox", "--as-of", as_of, "--project", str(project)]
    code = isthmus(["init", name, *words])
    if code not in (0, 1):
        sys.exit(f"`isthmus init {name}` ended with {code}")
    names += [name] if code == 0 else []
for name, folder, words in [*((name, name, []) for name in names), *renders]:
    code = isthmus(["render", name, "--project", str(project), "-o", str(target / folder), *words])
    if code not in (0, 1):
        sys.exit(f"`isthmus render {name}` ended with {code}")
"""


def render(checkout: Path, target: Path) -> None:
    """Render into folders of the stacks' names below `target`. An example without a feasible plan is left out.

    Raises `SystemExit` with what the command line printed where it ends with 2 or 3.
    """
    target.mkdir(parents=True)
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PULUMI_", "AWS_", "ISTHMUS_", "KUBECONFIG"))
    }
    ran = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(checkout), str(target), AS_OF],
        cwd=checkout,
        env={**variables, "PYTHONPATH": str(checkout), "ISTHMUS_HOME": str(target / ".home")},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise SystemExit(f"{checkout} cannot be rendered: {ran.stderr[-3000:]}")


def unified_diff(before: Path, after: Path) -> list[str]:
    """The lines of a unified diff of all files of two folders, by path; empty where the bytes are equal."""
    lines: list[str] = []
    for path in sorted(_files(before) | _files(after)):
        old, new = (_lines(folder / path) for folder in (before, after))
        lines += difflib.unified_diff(old, new, f"before/{path}", f"after/{path}", n=2)
    return [line if line.endswith("\n") else f"{line}\n" for line in lines]


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines(keepends=True) if path.is_file() else []


def _files(folder: Path) -> set[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {
        path.as_posix() for path in paths if path.parts[0] not in (".project", ".home") and not _is_copy(path)
    }


def _is_copy(path: Path) -> bool:
    """Whether a file of `for-argocd` or `for-flux` is that of the folder above: `--for` changes manifests only."""
    if not (len(path.parts) > 2 and path.parts[1].startswith("for-")):
        return False
    return path.parts[2] not in ("kubernetes", "unfilled", "patches") and not path.parts[2].startswith(
        "flux-"
    )
