"""Installs the missing programs of the toolchain."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from isthmus.core.errors import EnvironmentFault, InputError
from sandbox.toolchain import cache, debian, gobuild, scripts
from sandbox.toolchain import lookup as tool_lookup
from sandbox.toolchain.lookup import ToolStatus
from sandbox.toolchain.progress import Progress
from sandbox.toolchain.table import ENGINE, TOOLS, Tool, find_tool

SOURCES = ("auto", "modules", "download")


def install(
    source: str = "auto", *, tools: Sequence[str] | None = None, progress: Progress | None = None
) -> list[ToolStatus]:
    """Install the tools that are missing, and return the state of every program.

    Args:
        source: `auto` uses programs on PATH and in the cache, downloads the official releases of the others if
            their publishers answer within two seconds, and builds what could not be downloaded from Go modules.
            `modules` builds, and ignores what is on PATH or downloaded. `download` does not build a tool instead
            of its release. Tools without a release are always built.
        tools: names of tools, Debian packages or programs. Default: the tools with `wanted`.
        progress: receives the progress.

    Raises:
        InputError: a name is unknown.
        EnvironmentFault: Go is missing, the disk is full, or a download or build fails. Finished tools stay, and
            the next call continues.
    """
    source = "modules" if source == "build" else source  # its name until December 2026
    if source not in SOURCES:
        raise InputError(f"the source `{source}` is unknown", fix=f"Choose one of {', '.join(SOURCES)}")
    progress = progress or Progress()
    packages = [
        package for package in debian.PACKAGES if {package.name, *package.programs} & {*(tools or ())}
    ]
    for package in packages:
        package.install()
        tools = [name for name in tools or () if name not in (package.name, *package.programs)]
    selected = _select_tools(tools)
    if source == "modules":
        missing = [tool for tool in selected if not _is_built(tool)]
    else:
        missing = [tool for tool in selected if _is_missing(tool)]
        _download([tool for tool in missing if tool.releases], progress, or_build=source == "auto")
        missing = [tool for tool in missing if _is_missing(tool)]
    if missing:
        _make(missing, progress)
    return tool_lookup.status()


def _download(tools: list[Tool], progress: Progress, *, or_build: bool) -> None:
    """Download official releases. With `or_build`, what cannot be downloaded is left to the build, which is noted."""
    if not tools:
        return
    from sandbox.toolchain import download

    offered = [tool for tool in tools if download.is_offered(tool)]
    if not or_build:
        if others := [tool.name for tool in tools if tool not in offered]:
            raise EnvironmentFault(
                f"{', '.join(others)}: the publisher has no release for {cache.machine()}",
                fix="Build it with `isthmus sandbox install --from modules`",
            )
    elif offered and (address := download.unreachable(offered)):
        progress.note(f"{address} does not answer: the tools are built from Go modules, not downloaded")
        return
    for tool in offered:
        try:
            download.fetch(tool, progress)
        except EnvironmentFault as error:
            if not or_build:
                raise
            progress.note(f"{error.what}; {tool.name} is built from Go modules instead")


def _select_tools(names: Sequence[str] | None) -> list[Tool]:
    if names is None:
        return [tool for tool in TOOLS if tool.wanted]
    try:
        selected = {find_tool(name) for name in names}
    except KeyError as error:
        tool_names = ", ".join(
            [*(tool.name for tool in TOOLS), *(package.name for package in debian.PACKAGES)]
        )
        raise InputError(
            f"the tool `{error.args[0]}` is unknown",
            fix=f"Choose among {tool_names}, or name one of their programs",
        ) from None
    return [tool for tool in TOOLS if tool in selected]


def _is_missing(tool: Tool) -> bool:
    return any(tool_lookup.find(name) is None for name in tool.programs)


def _is_built(tool: Tool) -> bool:
    return all((cache.tool_folder(tool) / "bin" / name).exists() for name in tool.programs)


def _make(tools: list[Tool], progress: Progress) -> None:
    go = gobuild.require_go()
    progress.begin(tools)
    # The sources of the next tool are downloaded while one is compiled.
    with ThreadPoolExecutor(1) as pool:
        fetched = {tool.name: pool.submit(gobuild.fetch, go, tool) for tool in tools if tool.package}
        try:
            for position, tool in enumerate(tools):
                started = time.monotonic()
                _make_tool(go, tool, position, fetched.get(tool.name), progress)
                progress.finish(tool, time.monotonic() - started)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            progress.end()


def _make_tool(go: Path, tool: Tool, position: int, fetched: Future[None] | None, progress: Progress) -> None:
    target = cache.tool_folder(tool)
    waiting = f"another install is building {tool.name}; waiting for it"
    with cache.exclusive(target, waiting, progress.note):
        if _is_built(tool):
            return
        stale, total = 0, 1
        if fetched:
            if not fetched.done():
                progress.note(f"fetching the sources of {tool.name}")
            fetched.result()
            stale, total = gobuild.count_packages(go, tool)
        progress.start(position, tool, stale / total)
        started = time.monotonic()
        with cache.fill_folder(target) as folder:
            (folder / "bin").mkdir()
            if tool.package is None:
                sources = gobuild.module_folder(go, ENGINE, "github.com/pulumi/pulumi/sdk/v3")
                scripts.write_host(folder / "bin", sources / "python" / "cmd" / scripts.EXEC)
                return
            first_program, *other_programs = (folder / "bin" / name for name in tool.programs)
            compiled = gobuild.build(
                go, tool, first_program, lambda packages: progress.compiled(packages, stale)
            )
            for program in other_programs:
                _link_program(first_program, program)
        cache.record_time(tool, time.monotonic() - started, compiled)


def _link_program(program: Path, link: Path) -> None:
    """Give the same program another name, by a hard link: a program behind a symbolic link would see the first name."""
    try:
        os.link(program, link)
    except OSError:
        shutil.copy2(program, link)
