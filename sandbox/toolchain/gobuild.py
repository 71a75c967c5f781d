"""Compile a tool from its Go module; the user's own Go settings (proxy, caches, flags) are left as they
are."""

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
FLAGS = ("-mod=readonly", "-trimpath")
"""`-trimpath` also makes Go share compiled packages between our modules wherever their versions agree."""


def require_go() -> Path:
    """The `go` on PATH, new enough; `EnvironmentFault` that says what to do where there is none."""
    ways = (
        f"Install Go {MINIMUM[0]}.{MINIMUM[1]} or newer, or run `isthmus sandbox install --from download` "
        "on a machine with the open internet, or put the official programs on PATH"
    )
    found = shutil.which("go")
    if not found:
        raise EnvironmentFault("`go` is not on PATH, and the toolchain is built with it", fix=ways)
    answer = subprocess.run(
        [found, "env", "GOVERSION"], capture_output=True, text=True, check=False
    ).stdout.strip()
    version = re.search(r"go(\d+)\.(\d+)", answer)
    if version and (int(version[1]), int(version[2])) < MINIMUM:
        raise EnvironmentFault(f"{found} is {answer}, too old to build the toolchain", fix=ways)
    return Path(found)


def fetch(go: Path, tool: Tool) -> None:
    """Get the sources that a tool needs into Go's module cache."""
    _run(go, tool, ["list", *FLAGS[:1], "-deps", "-f", "{{.Name}}", str(tool.package)])


def packages(go: Path, tool: Tool) -> tuple[int, int]:
    """How many of a tool's packages must be compiled, and how many it has: Go's cache may know the others."""
    listed = _run(go, tool, ["list", *_flags(tool), "-deps", "-f", "{{.Stale}}", str(tool.package)]).split()
    return listed.count("true"), len(listed)


def build(go: Path, tool: Tool, target: Path, seen: Callable[[int], None]) -> int:
    """Compile and link a tool to `target`; `seen` gets the number of packages compiled so far.

    Returns how many were compiled (few when Go's cache had them). Go's build cache keeps each of them, which
    is what makes a second attempt go on from the first. Raises `EnvironmentFault`: no space, or the
    compiler's last words.
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
    ticker = _Ticker(lambda: seen(count))
    try:
        assert process.stdout is not None
        for line in process.stdout:
            tail.append(line.rstrip())
            # -v prints the import path of each package as it is compiled; all else is the compiler speaking.
            if re.fullmatch(r"[\w.\-~/+]+", line.strip()):
                count += 1
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        ticker.stop()
    if code != 0:
        raise _fault(tool, "\n".join(tail))
    return count


def module_folder(go: Path, tool: Tool, module: str) -> Path:
    """Where the sources of a module that `tool` requires lie, fetched and checked against its go.sum."""
    return Path(json.loads(_run(go, tool, ["mod", "download", "-json", module]))["Dir"])


def _flags(tool: Tool) -> list[str]:
    return [*FLAGS, "-ldflags", f"-s -w {tool.link}".strip()]


def _run(go: Path, tool: Tool, arguments: list[str]) -> str:
    done = subprocess.run(
        [str(go), *arguments],
        cwd=tool.module,
        capture_output=True,
        text=True,
        check=False,
        env=_environment(),
    )
    if done.returncode != 0:
        raise _fault(tool, done.stderr or done.stdout)
    return done.stdout


def _environment() -> dict[str, str]:
    # A workspace file somewhere above this checkout is not ours; PWD must not hide the folder that we chose.
    return {**{name: value for name, value in os.environ.items() if name != "PWD"}, "GOWORK": "off"}


def _fault(tool: Tool, output: str) -> EnvironmentFault:
    if SPACE.search(output):
        return cache.no_space(cache.root())
    said = [line for line in output.splitlines() if line.strip() and not line.startswith("go: downloading")]
    told = "; ".join(line.strip() for line in said[-3:])[-500:] or "it said nothing"
    return EnvironmentFault(
        f"{tool.name} {tool.version} could not be built: {told}",
        fix="Look at what go says (its proxy must be reachable); what is compiled already is kept, so run "
        "`isthmus sandbox install` again",
    )


def _end(process: subprocess.Popen) -> None:
    """End go and the compilers that it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(5)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        else:
            return


class _Ticker:
    """Calls something each half second: the compiler may be silent for long, and elapsed time should go
    on."""

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
