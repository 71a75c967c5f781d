"""Checks the types of what you changed: `python -m scripts.changed_types`, for `make check` and the commit hook.

It runs pyright on the Python files that differ from the upstream branch (without one: from the last commit), and on the
files that import them. If the settings or the dependencies changed, it checks every file, as `make lint` does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (
    "isthmus",
    "policies",
    "components",
    "stacks",
    "sandbox",
    "edge",
    "trainer",
    "tests",
    "bench",
    "scripts",
)
SETTINGS = {"pyproject.toml", "dev-requirements.lock"}
"""Files that decide about the types of every other file."""


def changed_files(root: Path = ROOT) -> set[str]:
    """Paths that differ from the upstream branch, new files included, deleted ones not."""
    base = _git(root, "merge-base", "HEAD", "@{upstream}") or _git(root, "rev-parse", "--verify", "HEAD")
    changed = _git(root, "diff", "--name-only", *base)
    new = _git(root, "ls-files", "--others", "--exclude-standard")
    return {name for name in [*changed, *new] if (root / name).exists()}


def _git(root: Path, *arguments: str) -> list[str]:
    """The lines that git prints; none if it fails, as without an upstream branch."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def with_importers(files: Iterable[str], root: Path = ROOT) -> set[str]:
    """Python files, and the files that import them."""
    sources = {name for name in files if name.endswith(".py") and name.partition("/")[0] in FOLDERS}
    if not sources:
        return set()
    graph = subprocess.run(
        [Path(sys.executable).with_name("ruff"), "analyze", "graph", "--direction", "dependents", *FOLDERS],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    importers = json.loads(graph)
    return sources.union(*(importers.get(name, []) for name in sources))


def main() -> int:
    changed = changed_files()
    if changed & SETTINGS:
        chosen = list(FOLDERS)
        print(f"types: every file, since {', '.join(sorted(changed & SETTINGS))} changed", flush=True)
    else:
        chosen = sorted(with_importers(changed))
        print(f"types: {len(chosen)} files that changed or import one that did", flush=True)
    if not chosen:
        return 0
    return subprocess.run(
        [Path(sys.executable).with_name("pyright"), *chosen], cwd=ROOT, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
