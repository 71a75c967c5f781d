"""actionlint, which reads GitHub's workflows: built from its Go module into the toolchain's cache.

`actionlint/go.mod` and `go.sum` name and hash all that gets in (`-mod=readonly`).
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from sandbox.toolchain import cache, commands
from sandbox.toolchain.gobuild import FLAGS, PROXY_FIX, require_go

MODULE = Path(__file__).with_name("actionlint")


def folder() -> Path:
    """Where it is or will be."""
    digest = hashlib.sha256(b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum")))
    return cache.root() / f"grader-actionlint-{digest.hexdigest()[:8]}-{cache.machine()}"


def program() -> Path | None:
    """None where it is not made yet."""
    path = folder() / "actionlint"
    return path if path.exists() else None


def install() -> float:
    """Build it, whole or not at all; the seconds that it took, 0 where it is there.

    Raises `EnvironmentFault` where there is no Go, a source cannot be had, or a hash differs.
    """
    target, began = folder(), time.monotonic()
    with cache.exclusive(target, "another run is making actionlint; waiting for it", print):
        if program():
            return 0
        with cache.fill_folder(target) as filling:
            built = str(filling / "actionlint")
            command = [
                str(require_go()),
                "build",
                *FLAGS,
                "-o",
                built,
                "github.com/rhysd/actionlint/cmd/actionlint",
            ]
            commands.run(
                command,
                "the grader actionlint could not be built",
                cwd=MODULE,
                fix=f"{PROXY_FIX}`make graders` again",
            )
    return time.monotonic() - began
