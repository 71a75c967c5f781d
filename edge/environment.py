"""Files whose content stands in environment variables, for hosts that mount none.

Amazon ECS gives a task's secrets as variables. Where the configuration names a path, `env:NAME` stands for the content
of the variable NAME. It is put into anonymous memory, since OpenSSL loads certificates from paths only: no file system
is written, so the root stays read-only, and no key ever lies on a disk. Linux only.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

PREFIX = "env:"
_path_by_variable: dict[str, Path] = {}
"""By variable: one file each, however often it is named. The descriptors stay open as long as the process lives."""


def as_file(value: object) -> object:
    """The path that holds a variable's content; what is no `env:NAME` is given back as it is. Raises ValueError."""
    text = str(value) if isinstance(value, Path) else value
    if not isinstance(text, str) or not text.startswith(PREFIX):
        return value
    name = text.removeprefix(PREFIX)
    if name not in _path_by_variable:
        # Taken out: no process that we start, and no dump of our environment, has it.
        content = os.environ.pop(name, "")
        if not content:
            raise ValueError(f"the environment variable {name} is not set")
        _path_by_variable[name] = _in_memory(name, content.encode())
    return _path_by_variable[name]


def restored() -> dict[str, str]:
    """The environment with the variables that were taken out of it, for a process that begins anew."""
    return {**os.environ, **{name: path.read_text() for name, path in _path_by_variable.items()}}


def _in_memory(name: str, content: bytes) -> Path:
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return Path(f"/proc/self/fd/{descriptor}")
