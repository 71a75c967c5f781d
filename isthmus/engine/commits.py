"""Which commit a project's files are of."""

from __future__ import annotations

import subprocess
from pathlib import Path


def head(root: Path) -> str:
    """The commit that is checked out, `-dirty` behind it where tracked files differ; empty outside a repository."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
