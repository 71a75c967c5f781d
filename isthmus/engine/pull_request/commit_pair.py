"""The two commits of a change, each asked by processes of its own code: without credentials, and side by side."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.seen import Answer, Order

RUNNING_CHECKOUT = Path(__file__).resolve().parents[3]
"""The Isthmus that runs."""
_PROTOCOL_MODULE = Path("isthmus", "engine", "seen.py")
_JUDGING_FOLDERS = ("isthmus", "policies")
"""Folders of what judges: the rules, and the contracts and the graph that they judge by."""
_TIMEOUT_S = 900
_PASSED_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "TZ",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
)
"""Of the environment: no key, no token, no kubeconfig comes to the code of a branch."""
_BLUEPRINTS = "ISTHMUS_BLUEPRINTS"


@dataclass(frozen=True)
class Commit:
    """A commit's files, and the Isthmus that they are rendered by."""

    root: Path
    """The project's folder."""
    word: str
    """What errors call it."""
    checkout: Path
    """The project's folder that the environment speaks of."""

    @property
    def own(self) -> bool:
        """Whether its own Isthmus can be asked; where it has none, or an older one, the one that runs is."""
        return (self.root / _PROTOCOL_MODULE).is_file()

    @property
    def code(self) -> Path:
        return self.root if self.own else RUNNING_CHECKOUT


def ask_commits(orders: Mapping[Commit, Order], instead: Path | None = None) -> dict[Commit, Answer]:
    """The answers of each commit's code (or of that in `instead`); `EnvironmentFault` where one gives none.

    All of them have ended when this returns or raises.
    """
    with contextlib.ExitStack() as running_processes:
        folder = Path(running_processes.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-asked-")))
        running = {
            commit: running_processes.enter_context(
                _start_process(commit, order, instead or commit.code, folder / str(number))
            )
            for number, (commit, order) in enumerate(orders.items())
        }
        deadline = time.monotonic() + _TIMEOUT_S
        return {
            commit: _read_answer(commit, process, folder / str(number), deadline)
            for number, (commit, process) in enumerate(running.items())
        }


def changed_judging_files(base: Commit, head: Commit) -> list[str]:
    """Files of what judges that differ between the two, sorted; none where neither has any of its own."""
    base_files, head_files = (_judging_files(commit.root) for commit in (base, head))
    return sorted(name for name in {*base_files, *head_files} if base_files.get(name) != head_files.get(name))


def _judging_files(root: Path) -> dict[str, bytes]:
    files = (path for folder in _JUDGING_FOLDERS for path in (root / folder).rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in files
        if "__pycache__" not in path.parts
    }


@contextlib.contextmanager
def _start_process(
    commit: Commit, order: Order, code: Path, folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir()
    (folder / "order").write_text(order.model_dump_json(), "utf-8")
    command = [sys.executable, "-m", "isthmus.engine.seen", str(folder / "order"), str(folder / "answer")]
    with (folder / "said").open("wb") as stderr_file:
        process = subprocess.Popen(
            command,
            cwd=code,
            env=_environment(commit),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr_file,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _read_answer(commit: Commit, process: subprocess.Popen[bytes], folder: Path, deadline: float) -> Answer:
    try:
        code = process.wait(max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise _fault(commit, f"it took longer than {_TIMEOUT_S} s") from None
    try:
        return Answer.model_validate_json((folder / "answer").read_text("utf-8"))
    except (OSError, ValueError):
        lines = (folder / "said").read_text("utf-8", "replace").split("\n")
        last_line = next((line.strip() for line in reversed(lines) if line.strip()), "")
        raise _fault(commit, f"it ended with {code}{f': {last_line[:300]}' if last_line else ''}") from None


def _fault(commit: Commit, why: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"the code of {commit.word} could not be asked: {why}".replace(f"{commit.root}{os.sep}", ""),
        fix="Run `isthmus render` in a checkout of it to see what is wrong",
    )


def _environment(commit: Commit) -> dict[str, str]:
    environment = {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # nothing is written into the checkout
    return environment | ({_BLUEPRINTS: blueprints} if (blueprints := _blueprint_folders(commit)) else {})


def _blueprint_folders(commit: Commit) -> str:
    """The organisation's folders of blueprints: one in the project is the commit's own."""
    folders: list[str] = []
    for text in filter(None, os.environ.get(_BLUEPRINTS, "").split(os.pathsep)):
        path = Path(text).expanduser().resolve()
        if path.is_relative_to(commit.checkout):
            path = commit.root / path.relative_to(commit.checkout)
        # A folder that this commit does not have yet, or that another names: its own Isthmus says so.
        folders += [str(path)] if path.is_dir() or commit.root == commit.checkout else []
    return os.pathsep.join(folders)
