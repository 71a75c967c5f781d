"""Commits of a project: which one its files are of, and the files of another, beside the checkout.

Nothing here writes into the checkout, its index or its list of worktrees.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from isthmus.core.errors import EnvironmentFault, InputError

_TIMEOUT_S = 300
_NO_FILTERS = tuple(
    argument
    for setting in ("filter.lfs.smudge=cat", "filter.lfs.process=", "filter.lfs.required=false")
    for argument in ("-c", setting)
)
"""Large files are left as the pointers that they are: fetching one takes a network and a credential."""


def head(root: Path) -> str:
    """The commit that is checked out, `-dirty` behind it where tracked files differ; empty outside a repository."""
    try:
        revision = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
        if revision.returncode != 0:
            return ""
        status = _git(root, "status", "--porcelain", "--untracked-files=no")
    except EnvironmentFault:
        return ""
    dirty = status.returncode != 0 or bool(status.stdout.strip())
    return revision.stdout.strip() + ("-dirty" if dirty else "")


def resolve_commit(root: Path, name: str) -> str:
    """The whole id of a commit by its name. Raises `InputError` outside a repository and where it is not there."""
    if _git(root, "rev-parse", "--git-dir").returncode != 0:
        raise InputError(
            f"the project is in no git repository that can be read: {_git_error(root)}",
            where=str(root),
            fix="Run it in a clone that has the base commit",
        )
    # A name that begins with a dash would be an option.
    revision = (
        _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") if name[:1] != "-" else None
    )
    if revision is not None and revision.returncode == 0:
        return revision.stdout.strip()
    shallow = _is_shallow(root)
    raise InputError(
        f"there is no commit `{name}`" + (" in this clone, which is shallow" if shallow else ""),
        where="--base",
        fix=f"Fetch it: git fetch --depth=1 origin {name or 'COMMIT'}"
        if shallow
        else "Name a commit of this repository: an id, a branch (origin/main) or a tag",
    )


def is_behind(root: Path, commit: str) -> bool:
    """Whether what is checked out lacks a commit; a shallow clone does not know."""
    return _git(root, "merge-base", "--is-ancestor", commit, "HEAD").returncode == 1 and not _is_shallow(root)


@contextlib.contextmanager
def commit_files(root: Path, commit: str) -> Iterator[Path]:
    """The files that a project's folder has in a commit, in a folder that is gone afterwards.

    By an index of its own: what attributes of the repository keep out of its archives is here too.
    """
    prefix = _run(root, "rev-parse", "--show-prefix").rstrip("/")
    top = Path(_run(root, "rev-parse", "--show-toplevel"))
    with tempfile.TemporaryDirectory(prefix="isthmus-base-") as folder:
        files = Path(folder).resolve() / "files"
        files.mkdir()
        index_environment = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        if prefix and _git(root, "cat-file", "-e", f"{commit}:{prefix}").returncode != 0:
            raise InputError(
                f"commit {commit[:12]} has no folder {prefix}",
                where="--base",
                fix="Name a commit in which the project is: without one nothing of this change can be judged",
            )
        _run(top, "read-tree", f"{commit}:{prefix}", env=index_environment)
        _run(
            top,
            *_NO_FILTERS,
            "checkout-index",
            "--all",
            "--quiet",
            f"--prefix={files}/",
            env=index_environment,
        )
        yield files


def _is_shallow(root: Path) -> bool:
    return _git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"


def _run(root: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    done = _git(root, *arguments, env=env)
    if done.returncode != 0:
        reason = " ".join(done.stderr.split())[-300:]
        raise EnvironmentFault(
            f"git could not read the base commit: {reason or f'it ended with {done.returncode}'}",
            where=str(root),
            fix="Fetch the whole commit, and see that there is space for its files",
        )
    return done.stdout.strip()


def _git_error(root: Path) -> str:
    return " ".join(_git(root, "rev-parse", "--git-dir").stderr.split())[:300]


def _git(
    root: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    # Its words are read; and looking must not write, not even what an index remembers of files' times.
    quiet = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=root,
            env={**os.environ, **quiet, **(env or {})},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise EnvironmentFault("git is not there", fix="Install git, or put it on PATH") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFault(f"git does not answer ({type(error).__name__})", where=str(root)) from None
