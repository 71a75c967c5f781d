"""Finds the Python that runs a project: its virtual environment, else the Python that runs this host."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class NoInterpreter(Exception):
    """The project names a virtual environment that does not exist. The text is one line for the user."""


@dataclass(frozen=True)
class Interpreter:
    """A Python, with its virtual environment if it belongs to one."""

    python: str
    virtualenv: Path | None = None

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        """Return this process's variables as if the environment were activated, with `extra` added."""
        variables = dict(os.environ)
        if self.virtualenv:
            variables["VIRTUAL_ENV"] = str(self.virtualenv)
            variables["PATH"] = os.pathsep.join(
                [str(self.virtualenv / "bin"), variables.get("PATH", os.defpath)]
            )
            variables.pop("PYTHONHOME", None)
        # Python buffers output to a pipe, but the user must see each line when it is printed.
        return {**variables, "PYTHONUNBUFFERED": "1", **(extra or {})}


def find_interpreter(root: Path, options: dict[str, Any]) -> Interpreter:
    """Return the interpreter for the `runtime.options` of a project or plugin at `root`.

    `virtualenv` is relative to `root`. Without it, `toolchain: uv` selects `.venv` if it exists. Raises
    `NoInterpreter` if `virtualenv` is not a virtual environment.
    """
    virtualenv = options.get("virtualenv")
    if virtualenv:
        folder = Path(os.path.normpath(root / str(virtualenv)))
        if not (folder / "bin" / "python").exists():
            raise NoInterpreter(
                f"The 'virtualenv' option names {folder}, which is not a Python virtual environment. "
                f"Create it and install the project's packages into it"
            )
        return Interpreter(str(folder / "bin" / "python"), folder)
    default_virtualenv = root / ".venv"
    if options.get("toolchain") == "uv" and (default_virtualenv / "bin" / "python").exists():
        return Interpreter(str(default_virtualenv / "bin" / "python"), default_virtualenv)
    host_virtualenv = Path(sys.prefix) if sys.prefix != sys.base_prefix else None
    return Interpreter(sys.executable, host_virtualenv)
