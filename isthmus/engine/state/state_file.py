"""A stack's state as a file of the backend: whether it can be read at all, and what to do where it cannot.

The engine reads the file without naming what is wrong with it; here a file that is empty, cut off, no
checkpoint or newer than the engine is named, with the copies that can take its place.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault

NEWEST = 4
"""The newest version of a deployment that the engine reads (`DeploymentSchemaVersionLatest` in
pulumi/sdk/v3 v3.274.1, go/common/apitype/core.go)."""


@dataclass(frozen=True)
class Broken(Exception):
    """Why a checkpoint cannot be used; `newer` where another engine can."""

    why: str
    newer: bool = False


def folder(backend_url: str) -> Path | None:
    """The folder of a file backend, None for any other backend."""
    if not backend_url.startswith("file://"):
        return None
    return Path(backend_url.removeprefix("file://")).expanduser() / ".pulumi"


def file_of(backend_url: str, project: str, stack: str) -> Path | None:
    """The stack's checkpoint in a file backend; None where there is none, or the backend is another."""
    base = folder(backend_url)
    if base is None:
        return None
    stem = base / "stacks" / project / f"{stack}.json"
    return next((each for each in (stem, stem.with_name(stem.name + ".gz")) if each.is_file()), None)


def read(file: Path) -> dict[str, Any]:
    """The deployment in a checkpoint, `{}` for a stack that has none yet. Raises `Broken`."""
    try:
        data = file.read_bytes()
        if file.suffix == ".gz":
            data = gzip.decompress(data)
        text = data.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise Broken(f"cannot be read ({error})") from None
    if not text.strip():
        raise Broken("is empty")
    try:
        said = json.loads(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            raise Broken(f"is cut off after {len(data)} bytes") from None
        raise Broken(f"is not JSON (line {error.lineno}: {error.msg})") from None
    if not isinstance(said, dict) or not isinstance(said.get("checkpoint"), dict):
        raise Broken("is JSON, but no checkpoint of Pulumi's")
    version = said.get("version")
    if not isinstance(version, int) or version < 1:
        raise Broken("names no version")
    latest = said["checkpoint"].get("latest") or {}
    if version > NEWEST:
        by = (latest.get("manifest") or {}).get("version") if isinstance(latest, dict) else None
        raise Broken(
            f"is of version {version}, and this engine reads none newer than {NEWEST}"
            + (f" (Pulumi {by} wrote it)" if by else ""),
            newer=True,
        )
    if not isinstance(latest, dict):
        raise Broken("is JSON, but no checkpoint of Pulumi's")
    return latest


def drop_broken_attributes(backend_url: str, project: str, stack: str) -> list[Path]:
    """Remove the attributes files of the stack's own that a killed engine left cut off, and name them.

    A file backend keeps content type and checksum of each file in a further one (`FILE.attrs`), written in place
    (gocloud.dev/blob/fileblob, attrs.go). Cut off, it keeps the engine from a state that is whole (`failed to
    load checkpoint: EOF`); where it is missing, the engine does without.
    """
    base = folder(backend_url)
    if base is None:
        return []
    found = [*(base / "stacks" / project).glob(f"{stack}.json*.attrs")]
    for room in ("locks", "history", "backups"):
        found += (base / room).glob(f"**/{project}/{stack}/*.attrs")
    dropped = []
    for file in sorted(found):
        try:
            json.loads(file.read_text("utf-8"))
        except FileNotFoundError:
            continue
        except ValueError:
            file.unlink(missing_ok=True)
            dropped.append(file)
    return dropped


def check(backend_url: str, project: str, stack: str, copies: Path) -> None:
    """Raise `EnvironmentFault` where the stack's file cannot be used, naming what can take its place.

    `copies` is the folder of `isthmus.engine.state.backup`.
    """
    file = file_of(backend_url, project, stack)
    if file is None:
        return
    try:
        read(file)
    except Broken as broken:
        if broken.newer:
            fix = "Use the Pulumi that wrote it, or a newer one; an older one must not write this state"
        else:
            fix = _instead(file, stack, copies)
        raise EnvironmentFault(f"the state of stack {stack} {broken.why}", where=str(file), fix=fix) from None


def _instead(file: Path, stack: str, copies: Path) -> str:
    """The best copy there is, and the commands that put it in place."""
    beside = file.with_name(file.name + ".bak")
    ways = []
    if beside.is_file():
        try:
            held = len(read(beside).get("resources") or [])
            ways.append(f"`cp {beside} {file}` (the engine's own copy, one step older, {held} resources)")
        except Broken:
            pass
    ours = sorted(copies.glob("*.json"))
    if ours:
        ways.append(
            f"`rm {file}`, `pulumi stack init {stack}` and `pulumi stack import --stack {stack} --file"
            f" {ours[-1]}` (our newest copy)"
        )
    if not ways:
        return (
            "There is no good copy beside it: bring one from the backup of the backend's folder, as"
            " docs/recovery.md says"
        )
    return (
        f"Nothing was touched. Put a copy in its place: {', or '.join(ways)}; then run the same command again"
    )
