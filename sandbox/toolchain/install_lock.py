"""Installs the packages of a lock into a virtual environment. It never resolves: a lock names all there is to install.

    python install_lock.py LOCK ENVIRONMENT [--no-compile]
    python install_lock.py LOCK FOLDER --download

Everything that installs Python packages uses this script: the Makefile, the environments in the cache, the images. It
imports only the standard library, because the Makefile and the images run it before anything is installed. It uses
`uv` if that is on PATH, which is five times faster, otherwise or if `uv` fails the environment's own pip, with the
user's settings of each.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

OPTIONS = ("--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:")
LEFT_OUT = re.compile(r"^# left out: (.+)$", re.MULTILINE)
"""Line of a lock that names packages which others require and which it does not install on purpose."""
MISSING = re.compile(r"^\S+ \S+ requires (\S+), which is not installed\.$")
"""Line of `pip check` about a requirement that is not installed."""


class NotInstalled(Exception):
    """The packages of a lock are not installed. `problem` says why, `fix` what to do."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}\nFix: {fix}")
        self.problem, self.fix = problem, fix


def install(lock: Path, environment: Path, *, compiles: bool = True) -> None:
    """Install the packages of a lock into an environment, which is created if needed, and run `pip check`.

    An interrupted or failed call leaves what it has installed, and the next call continues.

    Args:
        lock: requirements with versions and hashes.
        environment: folder of a virtual environment of the running Python, there or not.
        compiles: compile all modules now. Otherwise Python compiles those that are imported, at their first import.

    Raises:
        NotInstalled: a package cannot be fetched, a hash differs, or the packages do not agree with each other.
    """
    python = environment / "bin" / "python"
    if not (environment / "bin" / "pip").exists():  # pip comes last, so that a cut off creation is repeated
        _run(
            lock,
            [sys.executable, "-m", "venv", str(environment)],
            "Create a virtual environment by hand to see more",
        )
    if not _install_with_uv(lock, python, compiles):
        _pip(lock, python, "install", *(() if compiles else ("--no-compile",)))
    _check(lock, python)


def download(lock: Path, folder: Path) -> None:
    """Fetch the wheels of a lock into a folder. Raises `NotInstalled`."""
    _pip(lock, Path(sys.executable), "download", "-d", str(folder))


def _pip(lock: Path, python: Path, command: str, *options: str) -> None:
    pip = [
        str(python),
        "-m",
        "pip",
        command,
        "--disable-pip-version-check",
        *OPTIONS,
        *options,
        "-r",
        str(lock),
    ]
    fix = (
        "pip must reach its package index (`pip config list` shows which one). Then run the same command again: it "
        "continues. If the index no longer has a version or a file, renew the lock with `make lock`"
    )
    _run(lock, pip, fix)


def _install_with_uv(lock: Path, python: Path, compiles: bool) -> bool:
    uv = shutil.which("uv")
    if uv is None:
        return False
    command = [uv, "pip", "install", *OPTIONS, "--python", str(python), "-r", str(lock)]
    done = subprocess.run(
        [*command, *(("--compile-bytecode",) if compiles else ())],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        print(f"uv did not install {lock} ({_last_lines(done)}); pip tries now", file=sys.stderr)
    return done.returncode == 0


def _check(lock: Path, python: Path) -> None:
    named = LEFT_OUT.findall(lock.read_text(encoding="utf-8"))
    left_out = {_normal(name) for line in named for name in line.split()}
    pip_check = [str(python), "-m", "pip", "--disable-pip-version-check", "check"]
    done = subprocess.run(pip_check, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    problems = [
        line for line in lines if not ((name := MISSING.match(line)) and _normal(name[1]) in left_out)
    ]
    if problems or not lines:
        raise NotInstalled(
            f"the packages of {lock} do not agree: {' '.join(problems)[:500] or _last_lines(done)}",
            "If the environment held other packages before, delete it (`make clean` deletes .venv) and run the same "
            "command again. Otherwise renew the lock with `make lock`",
        )


def _run(lock: Path, command: list[str], fix: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotInstalled(f"the packages of {lock} could not be installed: {_last_lines(done)}", fix)


def _last_lines(done: subprocess.CompletedProcess[str]) -> str:
    """The errors that a command printed, otherwise its last lines, and the system's reason if it names one."""
    output = done.stderr.strip() or done.stdout
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ")] or lines[-3:]
    reasons = [
        reason
        for reason in re.findall(r"\[Errno -?\d+\] [\w ]+", output)[-1:]
        if reason not in "".join(errors)
    ]
    return "; ".join([*errors[-2:], *reasons])[-500:]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """Install the lock that the command line names. An error is one paragraph, with exit code 3."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lock", type=Path)
    parser.add_argument("environment", type=Path)
    parser.add_argument(
        "--download", action="store_true", help="fetch the wheels into a folder, install nothing"
    )
    parser.add_argument("--no-compile", action="store_true", help="compile modules at their first import")
    options = parser.parse_args()
    try:
        if options.download:
            download(options.lock, options.environment)
        else:
            install(options.lock, options.environment, compiles=not options.no_compile)
    except NotInstalled as error:
        print(f"isthmus: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
