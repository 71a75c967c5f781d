"""Branches of a project with the bank's stack, and calls of `isthmus ci` on them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from isthmus.cli import main
from tests.blueprints.bank import STACK


def run_ci(root: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(["ci", *arguments, "--project", str(root)])
    readouterr = capsys.readouterr()
    return code, readouterr.out, readouterr.err


def copy_stack(stacks: Path, name: str, like: str = STACK) -> None:
    """A stack of another's files."""
    for pattern in ("Pulumi.{}.yaml", "{}.requirements.yaml", "{}.plan.yaml"):
        shutil.copy(stacks / pattern.format(like), stacks / pattern.format(name))


def remove_stack(stacks: Path, name: str) -> None:
    for path in stacks.glob(f"*{name}*"):
        path.unlink()
