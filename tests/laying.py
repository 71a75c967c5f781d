"""The files of a project in a folder of its own, as they are in the checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = ("Pulumi.yaml", "images.lock.yaml")


def lay(root: Path, *, bank: bool = False, files: tuple[str, ...] = FILES) -> Path:
    """The program and these files of the checkout's root; the folder of its stacks, the bank's among them if asked."""
    stacks = root / "stacks"
    hidden = shutil.ignore_patterns("__pycache__", *(() if bank else ("*bank-dev*",)))
    shutil.copytree(ROOT / "stacks", stacks, ignore=hidden, dirs_exist_ok=True)
    for name in files:
        shutil.copy(ROOT / name, root)
    return stacks
