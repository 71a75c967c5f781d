"""Which Python runs a project: its virtual environment, else the one that runs this host."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class NoInterpreter(Exception):
    """The project names a virtual environment that is not there; the text says so in one line."""


@dataclass(frozen=True)
class Interpreter:
    """A Python and, when it belongs to one, its virtual environment."""

    python: str
    virtualenv: Path | None = None

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        """This process' variables as an activated environment has them, and `extra`."""
        variables = dict(os.environ)
        if self.virtualenv:
            variables["VIRTUAL_ENV"] = str(self.virtualenv)
            variables["PATH"] = os.pathsep.join(
                [str(self.virtualenv / "bin"), variables.get("PATH", os.defpath)]
            )
            variables.pop("PYTHONHOME", None)
        # The host's output is a pipe, where Python would buffer; the user wants to see lines when they are
        # printed.
        return {**variables, "PYTHONUNBUFFERED": "1", **(extra or {})}


def interpreter(root: Path, options: dict[str, Any]) -> Interpreter:
    """The interpreter that `runtime.options` of a project (or plugin) at `root` asks for.

    `virtualenv` is relative to `root`. Without it, `toolchain: uv` means `.venv` there if it exists. Raises
    `NoInterpreter` when the one named is not an environment: running with another's packages would be worse.
    """
    named = options.get("virtualenv")
    if named:
        folder = Path(os.path.normpath(root / str(named)))
        if not (folder / "bin" / "python").exists():
            raise NoInterpreter(
                f"The 'virtualenv' option names {folder}, which is not a Python virtual environment. "
                f"Create it and install the project's packages into it"
            )
        return Interpreter(str(folder / "bin" / "python"), folder)
    usual = root / ".venv"
    if options.get("toolchain") == "uv" and (usual / "bin" / "python").exists():
        return Interpreter(str(usual / "bin" / "python"), usual)
    ours = Path(sys.prefix) if sys.prefix != sys.base_prefix else None
    return Interpreter(sys.executable, ours)
