"""Runs the README's commands as on a fresh machine, and prints what each step takes. `make cold` runs it.

    python -m scripts.cold [up] [try] [test]

It clones the last commit into a temporary folder and gives it an empty HOME, so that the caches of pip, uv, npm, Go,
Maven and Isthmus are empty. Only settings that say where the registries are come along. Programs on PATH stay.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = (
    ".npmrc",
    ".config/pip/pip.conf",
    ".pip/pip.conf",
    ".config/go/env",
    ".config/uv/uv.toml",
    ".m2/settings.xml",
)
CACHES = (
    *("PIP_CACHE_DIR", "UV_CACHE_DIR", "npm_config_cache", "GOPATH", "GOCACHE", "GOMODCACHE", "GOTMPDIR"),
    *("ISTHMUS_CACHE", "PULUMI_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"),
    *("MAVEN_OPTS", "VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL"),
)
STEPS = {
    "up": ("install", "toolchain", "up"),
    "try": ("install-try", "try", "down"),
    "test": ("install-all", "graders", "test"),
}
"""Command of the README → targets of the Makefile, its parts first, so that the time of each is seen."""


def cold_environment(home: Path) -> dict[str, str]:
    """The environment with another HOME, and without variables that would bring a filled cache back."""
    for name in SETTINGS:
        source = Path.home() / name
        if source.is_file():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, home / name)
    return {**{name: value for name, value in os.environ.items() if name not in CACHES}, "HOME": str(home)}


def size_mib(folder: Path) -> int:
    """Size on disk. 0 if the folder is not there."""
    done = subprocess.run(["du", "-sm", str(folder)], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0]) if done.returncode == 0 else 0


def run(targets: list[str], place: Path) -> int:
    """Run the targets in a new clone under `place`, until one fails. Returns its exit code."""
    clone, home = place / "clone", place / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
    environment = cold_environment(home)
    print(f"{place}: the clone, its HOME, and the output of each step", flush=True)
    print(f"{'step':<14}{'seconds':>8}{'.venv MiB':>11}{'HOME MiB':>10}", flush=True)
    for target in targets:
        began = time.monotonic()
        log = place / f"{target}.log"
        with log.open("w", encoding="utf-8") as output:
            done = subprocess.run(
                ["make", target, f"PYTHON={os.path.realpath(sys.executable)}"],
                cwd=clone,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        seconds = time.monotonic() - began
        print(f"{target:<14}{seconds:>8.0f}{size_mib(clone / '.venv'):>11}{size_mib(home):>10}", flush=True)
        if done.returncode != 0:
            tail = "".join(log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)[-30:])
            print(f"make {target} failed with {done.returncode}. The end of {log}:\n{tail}", file=sys.stderr)
            return done.returncode
    return 0


def main() -> int:
    """Run the steps that the command line names, in the README's order. What ran stays only if a step fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=f"of {', '.join(STEPS)}; default: all")
    chosen = parser.parse_args().commands or list(STEPS)
    if unknown := [name for name in chosen if name not in STEPS]:
        parser.error(f"{', '.join(unknown)}: choose of {', '.join(STEPS)}")
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    if changed.stdout:
        print("Only what is committed is cloned; this checkout has changes beside it.", file=sys.stderr)
    place = Path(tempfile.mkdtemp(prefix="isthmus-cold-"))
    code = run([target for name in STEPS if name in chosen for target in STEPS[name]], place)
    if code == 0:
        subprocess.run(["chmod", "-R", "u+w", str(place)], check=False)  # Go's module cache is read-only
        shutil.rmtree(place)
    return code


if __name__ == "__main__":
    sys.exit(main())
