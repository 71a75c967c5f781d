"""Builds the script that the engine starts as `pulumi-language-python`. It starts `sandbox.host`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXEC = "pulumi-language-python-exec"


def host_script() -> str:
    """Return the text of the script. It names the interpreter that runs Isthmus and the path of this checkout.

    `-P` keeps the working folder off the import path: it is the user's project, which may have a module with the
    name of one of Isthmus's modules.
    """
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from sandbox.host.server import main; main(sys.argv[1:])"
    )
    return (
        "#!/bin/sh\n"
        "# Made by `isthmus sandbox install`: Pulumi's Python language host for the sandbox's engine.\n"
        'ISTHMUS_LANGUAGE_EXEC="$(dirname -- "$0")/pulumi-language-python-exec"\n'
        "export ISTHMUS_LANGUAGE_EXEC\n"
        f'exec {shlex.quote(sys.executable)} -P -c {shlex.quote(code)} "$@"\n'
    )


def write_host(folder: Path, exec_script: Path) -> None:
    """Write the script, and beside it a copy of Pulumi's own script that it starts."""
    for name, text in (
        ("pulumi-language-python", host_script()),
        (EXEC, exec_script.read_text(encoding="utf-8")),
    ):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
