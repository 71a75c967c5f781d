"""A headless Chromium out of the npm registry, with playwright-core and axe-core: in the toolchain's cache.

`npm ci` takes what `browser/package-lock.json` names and hashes, and runs no script of a package. Chromium comes packed
with Brotli, with the libraries and the fonts that a bare machine lacks (`@sparticuz/chromium`, x86-64 Linux only).
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import time
from pathlib import Path

from sandbox.toolchain import cache, commands

SOURCES = Path(__file__).with_name("browser")
BROWSER = "the grader browser"
# npm waits 10 s before its first retry. A second retry would come a minute later.
NPM_CI = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
"""Installs what a lock names and hashes. It runs no scripts of packages."""
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir><cachedir prefix="xdg">fonts</cachedir></fontconfig>
"""
"""Only the fonts that come with it: texts are as wide on every machine."""


def folder() -> Path:
    """Where the browser of this lock is or will be."""
    digest = hashlib.sha256(_FONTS.encode())
    for name in ("package-lock.json", "unpack.mjs"):
        digest.update((SOURCES / name).read_bytes())
    return cache.root() / f"grader-browser-{digest.hexdigest()[:8]}-{cache.machine()}"


def program() -> Path | None:
    """Chromium; None where it is not made yet."""
    path = folder() / "chromium"
    return path if path.exists() else None


def install() -> float:
    """Make it, whole or not at all; the seconds that it took, 0 where it is there.

    Raises `EnvironmentFault` where there is no Node, npm cannot get a package, or a hash differs.
    """
    target, began = folder(), time.monotonic()
    with cache.exclusive(target, "another run is making the browser; waiting for it", print):
        if program():
            return 0
        with cache.fill_folder(target) as filling:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SOURCES / name, filling / name)
                # The package's own start script wants a newer Node; nothing of it is run.
            run_node(
                [*NPM_CI, "--engine-strict=false"],
                filling,
                BROWSER,
            )
            packed = filling / "node_modules" / "@sparticuz" / "chromium" / "bin"
            expected = ("al2023.tar", "fonts.tar", "chromium")
            names = [name for file_name in expected for name in (str(packed / f"{file_name}.br"), file_name)]
            run_node(["node", str(SOURCES / "unpack.mjs"), *names], filling, BROWSER)
            for file_name in ("al2023.tar", "fonts.tar"):
                with tarfile.open(filling / file_name) as archive:
                    archive.extractall(filling, filter="data")
                (filling / file_name).unlink()
            (filling / "fonts.conf").write_text(_FONTS, encoding="utf-8")
            (filling / "chromium").chmod(0o755)
            shutil.rmtree(packed)
    return time.monotonic() - began


def run_node(command: list[str], where: Path, label: str) -> None:
    """Run npm or Node.js in a folder. Raises `EnvironmentFault` if it fails.

    `label`: what is installed, for the error.
    """
    fix = "Node.js 20 or newer with npm must be on PATH and reach its registry (`npm config get registry`). Then run "
    commands.run(command, f"{label} could not be installed", cwd=where, fix=f"{fix}`make graders` again")
