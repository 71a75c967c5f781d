"""Runs the programs of others that install something, and explains what went wrong in one paragraph."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from isthmus.core.errors import EnvironmentFault

_COLOURS = re.compile(r"\x1b\[[\d;]*m")
_PREFIX = re.compile(r"^(\[?error\]?:?|npm error( code)?|npm ERR!|E:|fatal:)\s*", re.IGNORECASE)
"""How npm, Maven, apt and git begin the line of an error."""
_NOISE = re.compile(
    r"^go: downloading |^npm (warn|notice|error (syscall|errno)) |^W: |^\[(INFO|WARNING)\]|"
    r"^\[ERROR\] (To see|Re-run|For more|\[Help)",
    re.IGNORECASE,
)
MOST = 600
"""Characters of a reason."""


def run(command: Sequence[str], what: str, *, cwd: Path | None = None, fix: str) -> None:
    """Run a command. Raises `EnvironmentFault` that names the program's own reason if it is missing or fails.

    `what`: what could not be done, e.g. `the browser could not be installed`.
    """
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError:
        raise EnvironmentFault(f"{what}: {command[0]} is not on PATH", fix=fix) from None
    if done.returncode != 0:
        raise EnvironmentFault(f"{what}: {reason(done.stdout + done.stderr)}", fix=fix)


def reason(output: str) -> str:
    """The first two lines of an output that name an error. Without any, its last two lines."""
    lines = [_COLOURS.sub("", line).strip() for line in output.splitlines()]
    lines = [line for line in lines if line and not _NOISE.match(line)]
    errors = [text for line in lines if _PREFIX.match(line) and (text := _PREFIX.sub("", line).strip())]
    chosen = list(dict.fromkeys(errors))[:2] or list(dict.fromkeys(lines))[-2:]
    return "; ".join(chosen)[:MOST] or "it printed no error"
