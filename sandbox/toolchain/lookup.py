"""Finds a program: official on PATH, installed by Pulumi, downloaded, or built into the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sandbox.toolchain import cache, debian
from sandbox.toolchain.table import TOOLS, VERSION_ARGUMENTS, Tool, tool_of

Source = Literal["official", "downloaded", "built", "missing"]


@dataclass(frozen=True)
class ToolStatus:
    """One program: its source, its version if known, and its path (None if it is missing)."""

    name: str
    source: Source
    version: str | None
    path: Path | None
    purpose: str
    wanted: bool
    """False: installed only if named."""


def find(name: str) -> Path | None:
    """Return the program's path, or None if it is not installed. An official program has precedence."""
    return _locate(name)[1]


def find_official(name: str) -> Path | None:
    """Return the program on PATH or among Pulumi's plugins. Programs of the sandbox's cache do not count."""
    cache_root = cache.root().resolve()
    for entry in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = shutil.which(name, path=entry) if entry else None
        if (
            path
            and not Path(path).resolve().is_relative_to(cache_root)
            and not Path(path).absolute().is_relative_to(cache_root)
        ):
            return Path(path).absolute()
    return _find_pulumi_plugin(name)


def find_downloaded(name: str) -> Path | None:
    """Return the program if it is in the cache as its publisher released it."""
    tool = tool_of(name)
    return _executable(cache.release_folder(tool) / "bin" / name) if tool and tool.releases else None


def _locate(name: str) -> tuple[Source, Path | None]:
    if path := find_official(name):
        return "official", path
    if path := find_downloaded(name):
        return "downloaded", path
    tool = tool_of(name)
    if tool and (path := _executable(cache.tool_folder(tool) / "bin" / name)):
        return "built", path
    return "missing", None


def _executable(path: Path) -> Path | None:
    return path if path.is_file() and os.access(path, os.X_OK) else None


def _find_pulumi_plugin(name: str) -> Path | None:
    """Return the newest plugin of that name that `pulumi plugin install` has put under PULUMI_HOME."""
    kind = re.fullmatch(r"pulumi-resource-(.+)", name)
    if not kind:
        return None
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    plugins = [path for path in (home / "plugins").glob(f"resource-{kind[1]}-v*/{name}") if _executable(path)]
    return max(plugins, key=lambda path: _version_numbers(path.parent.name), default=None)


def _version_numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)]


def path_entries() -> list[Path]:
    """Return the folders of installed programs that are not on PATH yet."""
    present = os.environ.get("PATH", "").split(os.pathsep)
    folders = [path.parent for tool in TOOLS for name in tool.programs if (path := find(name)) is not None]
    return [folder for folder in dict.fromkeys(folders) if str(folder) not in present]


def status() -> list[ToolStatus]:
    """Return the status of every program of the table and of Debian packages. Official programs are run to get their
    version.
    """
    return [
        *(_status(tool, name) for tool in TOOLS for name in tool.programs),
        *(_package_status(package, name) for package in debian.PACKAGES for name in package.programs),
    ]


def _package_status(package: debian.DebianPackage, name: str) -> ToolStatus:
    path = package.program(name)
    source: Source = "missing"
    if path is not None:
        source = "downloaded" if path.is_relative_to(package.folder) else "official"
    version = package.version if source == "downloaded" else None
    return ToolStatus(name, source, version, path, package.purpose, wanted=False)


def _status(tool: Tool, name: str) -> ToolStatus:
    source, path = _locate(name)
    version = tool.version if source == "built" else _query_version(name, path) if path else None
    if source == "downloaded" and not version:
        version = next(
            (release.package_version for release in tool.releases if release.package), tool.version
        )
    return ToolStatus(name, source, version, path, tool.purpose, tool.wanted)


def _query_version(name: str, path: Path) -> str | None:
    if name not in VERSION_ARGUMENTS:
        in_folder = re.search(r"-v(\d+\.\d+\.\d+\S*)$", path.parent.name)
        return in_folder[1] if in_folder else None
    try:
        answer = subprocess.run(
            [str(path), *VERSION_ARGUMENTS[name]], capture_output=True, text=True, timeout=15, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"\d+\.\d+\.\d+\S*", answer.stdout)
    return version[0] if version else None
