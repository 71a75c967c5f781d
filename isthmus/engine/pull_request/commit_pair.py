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

HERE = Path(__file__).resolve().parents[3]
"""The Isthmus that runs."""
_ASKED = Path("isthmus", "engine", "seen.py")
_JUDGES = ("isthmus", "policies")
"""Folders of what judges: the rules, and the contracts and the graph that they judge by."""
_TIMEOUT_S = 900
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "VIRTUAL_ENV", "SYSTEMROOT")
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
        return (self.root / _ASKED).is_file()

    @property
    def code(self) -> Path:
        return self.root if self.own else HERE


def ask(orders: Mapping[Commit, Order], instead: Path | None = None) -> dict[Commit, Answer]:
    """The answers of each commit's code (or of that in `instead`); `EnvironmentFault` where one gives none.

    All of them have ended when this returns or raises.
    """
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-asked-")))
        running = {
            each: held.enter_context(_started(each, order, instead or each.code, folder / str(number)))
            for number, (each, order) in enumerate(orders.items())
        }
        until = time.monotonic() + _TIMEOUT_S
        return {
            each: _answer(each, process, folder / str(number), until)
            for number, (each, process) in enumerate(running.items())
        }


def rewritten(before: Commit, after: Commit) -> list[str]:
    """Files of what judges that differ between the two, sorted; none where neither has any of its own."""
    was, will = (_judges(each.root) for each in (before, after))
    return sorted(name for name in {*was, *will} if was.get(name) != will.get(name))


def _judges(root: Path) -> dict[str, bytes]:
    files = (each for top in _JUDGES for each in (root / top).rglob("*") if each.is_file())
    return {
        each.relative_to(root).as_posix(): each.read_bytes()
        for each in files
        if "__pycache__" not in each.parts
    }


@contextlib.contextmanager
def _started(commit: Commit, order: Order, code: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir()
    (folder / "order").write_text(order.model_dump_json(), "utf-8")
    words = [sys.executable, "-m", "isthmus.engine.seen", str(folder / "order"), str(folder / "answer")]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            words,
            cwd=code,
            env=_environment(commit),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _answer(commit: Commit, process: subprocess.Popen[bytes], folder: Path, until: float) -> Answer:
    try:
        code = process.wait(max(1.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise _fault(commit, f"it took longer than {_TIMEOUT_S} s") from None
    try:
        return Answer.model_validate_json((folder / "answer").read_text("utf-8"))
    except (OSError, ValueError):
        lines = (folder / "said").read_text("utf-8", "replace").split("\n")
        last = next((each.strip() for each in reversed(lines) if each.strip()), "")
        raise _fault(commit, f"it ended with {code}{f': {last[:300]}' if last else ''}") from None


def _fault(commit: Commit, why: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"the code of {commit.word} could not be asked: {why}".replace(f"{commit.root}{os.sep}", ""),
        fix="Run `isthmus render` in a checkout of it to see what is wrong",
    )


def _environment(commit: Commit) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    kept["PYTHONDONTWRITEBYTECODE"] = "1"  # nothing is written into the checkout
    return kept | ({_BLUEPRINTS: own} if (own := _blueprints(commit)) else {})


def _blueprints(commit: Commit) -> str:
    """The organisation's folders of blueprints: one in the project is the commit's own."""
    found: list[str] = []
    for text in filter(None, os.environ.get(_BLUEPRINTS, "").split(os.pathsep)):
        path = Path(text).expanduser().resolve()
        if path.is_relative_to(commit.checkout):
            path = commit.root / path.relative_to(commit.checkout)
        # A folder that this commit does not have yet, or that another names: its own Isthmus says so.
        found += [str(path)] if path.is_dir() or commit.root == commit.checkout else []
    return os.pathsep.join(found)
