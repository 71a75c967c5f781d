"""Where a program is: official on PATH, installed by Pulumi, downloaded, or built into the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sandbox.toolchain import cache
from sandbox.toolchain.table import TOOLS, VERSION_ARGUMENTS, Tool, tool_of

Source = Literal["official", "downloaded", "built", "missing"]


@dataclass(frozen=True)
class ToolStatus:
    """One program: where it comes from, its version as far as known, and its path (None when missing)."""

    name: str
    source: Source
    version: str | None
    path: Path | None
    purpose: str
    wanted: bool
    """False: only made when named."""


def find(name: str) -> Path | None:
    """The program's path; None when it must be installed first. An official one goes before one of ours."""
    return _locate(name)[1]


def official(name: str) -> Path | None:
    """The program on PATH or among Pulumi's installed plugins, unless it is one that we put there."""
    ours = cache.root().resolve()
    for entry in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(name, path=entry) if entry else None
        if (
            found
            and not Path(found).resolve().is_relative_to(ours)
            and not Path(found).absolute().is_relative_to(ours)
        ):
            return Path(found).absolute()
    return _pulumis_plugin(name)


def downloaded(name: str) -> Path | None:
    """The program among what `--from download` fetched."""
    return _executable(cache.downloads() / "bin" / name)


def _locate(name: str) -> tuple[Source, Path | None]:
    if path := official(name):
        return "official", path
    if path := downloaded(name):
        return "downloaded", path
    tool = tool_of(name)
    if tool and (path := _executable(cache.folder(tool) / "bin" / name)):
        return "built", path
    return "missing", None


def _executable(path: Path) -> Path | None:
    return path if path.is_file() and os.access(path, os.X_OK) else None


def _pulumis_plugin(name: str) -> Path | None:
    """The newest plugin of that name under PULUMI_HOME, where `pulumi plugin install` puts them."""
    kind = re.fullmatch(r"pulumi-resource-(.+)", name)
    if not kind:
        return None
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    found = [path for path in (home / "plugins").glob(f"resource-{kind[1]}-v*/{name}") if _executable(path)]
    return max(found, key=lambda path: _numbers(path.parent.name), default=None)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)]


def path_entries() -> list[Path]:
    """Folders that must be put on PATH so that the wanted programs are found; those that are there already
    are not named."""
    present = os.environ.get("PATH", "").split(os.pathsep)
    folders = [path.parent for tool in TOOLS for name in tool.programs if (path := find(name)) is not None]
    return [folder for folder in dict.fromkeys(folders) if str(folder) not in present]


def status() -> list[ToolStatus]:
    """Every program of the table; official ones are asked for their version."""
    return [_status(tool, name) for tool in TOOLS for name in tool.programs]


def _status(tool: Tool, name: str) -> ToolStatus:
    source, path = _locate(name)
    version = tool.version if source == "built" else _asked_version(name, path) if path else None
    return ToolStatus(name, source, version, path, tool.purpose, tool.wanted)


def _asked_version(name: str, path: Path) -> str | None:
    if name not in VERSION_ARGUMENTS:
        in_folder = re.search(r"-v(\d+\.\d+\.\d+\S*)$", path.parent.name)
        return in_folder[1] if in_folder else None
    try:
        answer = subprocess.run(
            [str(path), *VERSION_ARGUMENTS[name]], capture_output=True, text=True, timeout=15, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\d+\.\d+\.\d+\S*", answer.stdout)
    return found[0] if found else None
