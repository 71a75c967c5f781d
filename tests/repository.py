"""A git repository of a test's own: nobody's settings, signatures or hooks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_ALONE = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{
        f"GIT_{role}_{field}": f"test@{role}"
        for role in ("AUTHOR", "COMMITTER")
        for field in ("NAME", "EMAIL")
    },
}


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        env={**os.environ, **_ALONE},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def commit(root: Path, message: str) -> str:
    """All that stands in the folder as a commit, in a new repository where it is in none; its id."""
    if not (root / ".git").exists():
        git(root, "init", "-q", "-b", "main")
    git(root, "-c", "filter.lfs.clean=cat", "add", "-A")
    git(root, "commit", "-q", "-m", message)
    return git(root, "rev-parse", "HEAD")
