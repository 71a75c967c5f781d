"""Third-party privacy benchmarks in their own environment (`privacy.lock`), and where their reports are written.

Reports lie in pytest's own folder of the test, and in `$ISTHMUS_REPORTS/privacy` too where that is set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.edge.privacy.standing import KEY
from tests.graders import tools

HERE = Path(__file__).parent


def environment() -> Path:
    """Path of the Python with the benchmarks, which is installed at the first call."""
    tools.install("privacy", HERE)
    python = tools.python("privacy", HERE)
    assert python is not None
    return python


def run(folder: Path, *arguments: str, limit_s: int = 500) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS` in that environment and folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [str(environment()), *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "CONFORMANCE_TARGET_API_KEY": KEY, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )


def keep(folder: Path) -> None:
    """Copy reports to `$ISTHMUS_REPORTS`, if it is set."""
    if target := os.environ.get("ISTHMUS_REPORTS"):
        shutil.copytree(folder, Path(target) / "privacy" / folder.name, dirs_exist_ok=True)
