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

NEWEST_VERSION = 4
"""The newest version of a deployment that the engine reads (`DeploymentSchemaVersionLatest` in
pulumi/sdk/v3 v3.274.1, go/common/apitype/core.go)."""


@dataclass(frozen=True)
class Broken(Exception):
    """Why a checkpoint cannot be used; `newer` where another engine can."""

    why: str
    newer: bool = False


def backend_folder(backend_url: str) -> Path | None:
    """The folder of a file backend, None for any other backend."""
    if not backend_url.startswith("file://"):
        return None
    return Path(backend_url.removeprefix("file://")).expanduser() / ".pulumi"


def checkpoint_file(backend_url: str, project: str, stack: str) -> Path | None:
    """The stack's checkpoint in a file backend; None where there is none, or the backend is another."""
    base = backend_folder(backend_url)
    if base is None:
        return None
    stem = base / "stacks" / project / f"{stack}.json"
    return next((path for path in (stem, stem.with_name(stem.name + ".gz")) if path.is_file()), None)


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
        checkpoint = json.loads(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            raise Broken(f"is cut off after {len(data)} bytes") from None
        raise Broken(f"is not JSON (line {error.lineno}: {error.msg})") from None
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("checkpoint"), dict):
        raise Broken("is JSON, but no checkpoint of Pulumi's")
    version = checkpoint.get("version")
    if not isinstance(version, int) or version < 1:
        raise Broken("names no version")
    latest = checkpoint["checkpoint"].get("latest") or {}
    if version > NEWEST_VERSION:
        pulumi_version = (latest.get("manifest") or {}).get("version") if isinstance(latest, dict) else None
        raise Broken(
            f"is of version {version}, and this engine reads none newer than {NEWEST_VERSION}"
            + (f" (Pulumi {pulumi_version} wrote it)" if pulumi_version else ""),
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
    base = backend_folder(backend_url)
    if base is None:
        return []
    attribute_files = [*(base / "stacks" / project).glob(f"{stack}.json*.attrs")]
    for subfolder in ("locks", "history", "backups"):
        attribute_files += (base / subfolder).glob(f"**/{project}/{stack}/*.attrs")
    dropped = []
    for file in sorted(attribute_files):
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
    file = checkpoint_file(backend_url, project, stack)
    if file is None:
        return
    try:
        read(file)
    except Broken as broken:
        if broken.newer:
            fix = "Use the Pulumi that wrote it, or a newer one; an older one must not write this state"
        else:
            fix = _recovery_fix(file, stack, copies)
        raise EnvironmentFault(f"the state of stack {stack} {broken.why}", where=str(file), fix=fix) from None


def _recovery_fix(file: Path, stack: str, copies: Path) -> str:
    """The best copy there is, and the commands that put it in place."""
    engine_copy = file.with_name(file.name + ".bak")
    options = []
    if engine_copy.is_file():
        try:
            resource_count = len(read(engine_copy).get("resources") or [])
            options.append(
                f"`cp {engine_copy} {file}` (the engine's own copy, one step older, {resource_count} resources)"
            )
        except Broken:
            pass
    own_copies = sorted(copies.glob("*.json"))
    if own_copies:
        options.append(
            f"`rm {file}`, `pulumi stack init {stack}` and `pulumi stack import --stack {stack} --file"
            f" {own_copies[-1]}` (our newest copy)"
        )
    if not options:
        return (
            "There is no good copy beside it: bring one from the backup of the backend's folder, as"
            " docs/recovery.md says"
        )
    return f"Nothing was touched. Put a copy in its place: {', or '.join(options)}; then run the same command again"
