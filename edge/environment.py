"""Provides files from environment variables (`env:NAME`), for hosts that cannot mount files.

Amazon ECS passes a task's secrets as variables. In the configuration, `env:NAME` instead of a path means the
content of the variable NAME. The content is put into an anonymous file in memory, because OpenSSL loads
certificates from paths only. So the root file system stays read-only, and no key is written to a disk. Linux only.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

PREFIX = "env:"
_path_by_variable: dict[str, Path] = {}
"""Path of the memory file by variable. A variable has one file, and its descriptor stays open while the process
runs."""


def as_file(value: object) -> object:
    """The path of a file with the variable's content. A value other than `env:NAME` is returned unchanged. Raises
    ValueError.
    """
    text = str(value) if isinstance(value, Path) else value
    if not isinstance(text, str) or not text.startswith(PREFIX):
        return value
    name = text.removeprefix(PREFIX)
    if name not in _path_by_variable:
        # The variable is removed, so that child processes and dumps of the environment do not contain the secret.
        content = os.environ.pop(name, "")
        if not content:
            raise ValueError(f"the environment variable {name} is not set")
        _path_by_variable[name] = _in_memory(name, content.encode())
    return _path_by_variable[name]


def restored() -> dict[str, str]:
    """The environment including the removed variables, for a process that restarts itself."""
    return {**os.environ, **{name: path.read_text() for name, path in _path_by_variable.items()}}


def _in_memory(name: str, content: bytes) -> Path:
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return Path(f"/proc/self/fd/{descriptor}")
