"""Make what is missing of the toolchain, and nothing else."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from isthmus.core.errors import InputError
from sandbox.toolchain import cache, gobuild, scripts
from sandbox.toolchain import lookup as tool_lookup
from sandbox.toolchain.lookup import ToolStatus
from sandbox.toolchain.progress import Progress
from sandbox.toolchain.table import ENGINE, TOOLS, Tool, named

SOURCES = ("auto", "build", "download")


def install(
    source: str = "auto", *, tools: Sequence[str] | None = None, progress: Progress | None = None
) -> list[ToolStatus]:
    """Make every wanted tool available; returns the state of all.

    `auto`: programs on PATH are used as they are, what is in the cache too, and the rest is built from Go
    modules. `build`: the same, but programs on PATH do not count. `download`: what is missing is fetched as
    official releases from the internet. `tools` names tools or programs instead of the wanted ones.

    Raises `InputError` (unknown name), `EnvironmentFault` (no go, no space, no network, a failed build);
    what was finished before stays, and a second call goes on from there.
    """
    if source not in SOURCES:
        raise InputError(f"there is no source `{source}`", fix=f"Choose one of {', '.join(SOURCES)}")
    progress = progress or Progress()
    chosen = _chosen(tools)
    if source == "download":
        from sandbox.toolchain import download

        download.fetch([tool for tool in chosen if _lacking(tool)], progress)
        chosen = [tool for tool in chosen if tool.package is None]  # the rest is official now
    missing = [tool for tool in chosen if (not _built(tool) if source == "build" else _lacking(tool))]
    if missing:
        _make(missing, progress)
    return tool_lookup.status()


def _chosen(names: Sequence[str] | None) -> list[Tool]:
    if names is None:
        return [tool for tool in TOOLS if tool.wanted]
    try:
        wanted = {named(name) for name in names}
    except KeyError as error:
        known = ", ".join(tool.name for tool in TOOLS)
        raise InputError(f"there is no tool `{error.args[0]}`", fix=f"Known are {known}") from None
    return [tool for tool in TOOLS if tool in wanted]


def _lacking(tool: Tool) -> bool:
    return any(tool_lookup.find(name) is None for name in tool.programs)


def _built(tool: Tool) -> bool:
    return all((cache.folder(tool) / "bin" / name).exists() for name in tool.programs)


def _make(tools: list[Tool], progress: Progress) -> None:
    go = gobuild.require_go()
    progress.begin(tools)
    # While one tool is compiled (processor), the sources of the next are fetched (network).
    with ThreadPoolExecutor(1) as pool:
        fetched = {tool.name: pool.submit(gobuild.fetch, go, tool) for tool in tools if tool.package}
        try:
            for position, tool in enumerate(tools):
                began = time.monotonic()
                _one(go, tool, position, fetched.get(tool.name), progress)
                progress.finish(tool, time.monotonic() - began)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            progress.end()


def _one(go: Path, tool: Tool, position: int, fetched: Future[None] | None, progress: Progress) -> None:
    target = cache.folder(tool)
    waiting = f"another install is making {tool.name}; waiting for it"
    with cache.turn(target, waiting, progress.note):
        if _built(tool):
            return
        stale, every = 0, 1
        if fetched:
            if not fetched.done():
                progress.note(f"fetching the sources of {tool.name}")
            fetched.result()
            stale, every = gobuild.packages(go, tool)
        progress.start(position, tool, stale / every)
        began = time.monotonic()
        with cache.filling(target) as made:
            (made / "bin").mkdir()
            if tool.package is None:
                _write_host(go, made / "bin")
                return
            first, *others = (made / "bin" / name for name in tool.programs)
            compiled = gobuild.build(go, tool, first, lambda packages: progress.compiled(packages, stale))
            for other in others:
                _same(first, other)
        cache.record_time(tool, time.monotonic() - began, compiled)


def _same(first: Path, other: Path) -> None:
    """The same program under another name. A hard link: its name survives being resolved, a symbolic link's
    does not."""
    try:
        os.link(first, other)
    except OSError:
        shutil.copy2(first, other)


def _write_host(go: Path, folder: Path) -> None:
    sources = gobuild.module_folder(go, ENGINE, "github.com/pulumi/pulumi/sdk/v3")
    for name, text in (
        ("pulumi-language-python", scripts.host_script()),
        (scripts.EXEC, (sources / "python" / "cmd" / scripts.EXEC).read_text(encoding="utf-8")),
    ):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
