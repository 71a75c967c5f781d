"""Compiles a tool from its Go module, with the user's own Go settings (proxy, caches, flags)."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from isthmus.core.errors import EnvironmentFault
from sandbox.toolchain import cache
from sandbox.toolchain.table import Tool

MINIMUM = (1, 26)
SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
PROXY_FIX = "If go could not reach its module proxy, `go env GOPROXY` says which it asks. Then run "
FLAGS = ("-mod=readonly", "-trimpath")
"""`-trimpath` also lets Go share compiled packages between the modules if their versions agree."""


def require_go() -> Path:
    """Return the `go` on PATH. Raises `EnvironmentFault` if it is missing or too old."""
    fix = (
        f"Install Go {MINIMUM[0]}.{MINIMUM[1]} or newer, or put the official programs on PATH. Where "
        "the publishers' release pages can be reached, `isthmus sandbox install --from download` needs no Go"
    )
    go = shutil.which("go")
    if not go:
        raise EnvironmentFault("`go` is not on PATH, but it is needed to build the toolchain", fix=fix)
    go_version = subprocess.run(
        [go, "env", "GOVERSION"], capture_output=True, text=True, check=False
    ).stdout.strip()
    version = re.search(r"go(\d+)\.(\d+)", go_version)
    if version and (int(version[1]), int(version[2])) < MINIMUM:
        raise EnvironmentFault(
            f"{go} is {go_version}, but the toolchain needs at least go{MINIMUM[0]}.{MINIMUM[1]}", fix=fix
        )
    return Path(go)


def fetch(go: Path, tool: Tool) -> None:
    """Download the sources of a tool into Go's module cache."""
    _run(go, tool, ["list", *FLAGS[:1], "-deps", "-f", "{{.Name}}", str(tool.package)])


def count_packages(go: Path, tool: Tool) -> tuple[int, int]:
    """Return how many packages of a tool must be compiled, and how many it has. Go's cache has the others."""
    stale = _run(go, tool, ["list", *_flags(tool), "-deps", "-f", "{{.Stale}}", str(tool.package)]).split()
    return stale.count("true"), len(stale)


def build(go: Path, tool: Tool, target: Path, on_compiled: Callable[[int], None]) -> int:
    """Compile and link a tool to `target`, and return the number of compiled packages.

    `on_compiled` receives the number of packages compiled so far. Go's build cache keeps compiled packages, so a
    second attempt continues the first. Raises `EnvironmentFault` if the disk is full or the build fails.
    """
    command = [str(go), "build", "-v", *_flags(tool), "-o", str(target)]
    tail: deque[str] = deque(maxlen=30)
    count = 0
    process = subprocess.Popen(
        [*command, str(tool.package)],
        cwd=tool.module,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        env=_environment(),
    )
    ticker = _Ticker(lambda: on_compiled(count))
    try:
        assert process.stdout is not None
        for line in process.stdout:
            tail.append(line.rstrip())
            # -v prints the import path of each compiled package. Other lines come from the compiler.
            if re.fullmatch(r"[\w.\-~/+]+", line.strip()):
                count += 1
        code = process.wait()
    except BaseException:
        _end_process(process)
        raise
    finally:
        ticker.stop()
    if code != 0:
        raise _build_fault(tool, "\n".join(tail))
    return count


def module_folder(go: Path, tool: Tool, module: str) -> Path:
    """Return the folder of a module that `tool` requires, downloaded and checked against go.sum."""
    return Path(json.loads(_run(go, tool, ["mod", "download", "-json", module]))["Dir"])


def _flags(tool: Tool) -> list[str]:
    return [*FLAGS, "-ldflags", f"-s -w {tool.link}".strip()]


def _run(go: Path, tool: Tool, arguments: list[str]) -> str:
    process = subprocess.run(
        [str(go), *arguments],
        cwd=tool.module,
        capture_output=True,
        text=True,
        check=False,
        env=_environment(),
    )
    if process.returncode != 0:
        raise _build_fault(tool, process.stderr or process.stdout)
    return process.stdout


def _environment() -> dict[str, str]:
    # A go.work file above this checkout must not apply. Go would prefer PWD to the chosen folder.
    return {**{name: value for name, value in os.environ.items() if name != "PWD"}, "GOWORK": "off"}


def _build_fault(tool: Tool, output: str) -> EnvironmentFault:
    if SPACE.search(output):
        return cache.no_space_fault(cache.root())
    lines = [line for line in output.splitlines() if line.strip() and not line.startswith("go: downloading")]
    reason = "; ".join(line.strip() for line in lines[-3:])[-500:] or "go printed no error"
    return EnvironmentFault(
        f"{tool.name} {tool.version} could not be built: {reason}",
        fix=f"{PROXY_FIX}`isthmus sandbox install` again: compiled packages are kept",
    )


def _end_process(process: subprocess.Popen) -> None:
    """End go and the compilers that it started: SIGTERM, and after 5 s SIGKILL."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signal_number)
            process.wait(5)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        else:
            return


class _Ticker:
    """Calls a function each half second, so that the elapsed time advances while the compiler prints nothing."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.over = threading.Event()
        self.call = call
        self.thread = threading.Thread(target=self._go, daemon=True)
        self.thread.start()

    def _go(self) -> None:
        while not self.over.wait(0.5):
            self.call()

    def stop(self) -> None:
        self.over.set()
        self.thread.join()
