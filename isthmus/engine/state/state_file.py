"""Checks the state file of a stack in a file backend, and names a copy that can replace a broken one.

The engine's own error does not say what is wrong with the file. This module tells apart a file that is empty,
truncated, no checkpoint, or written by a newer engine.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault

NEWEST_VERSION = 4
"""Newest deployment version that the engine reads (`DeploymentSchemaVersionLatest` in
pulumi/sdk/v3 v3.274.1, go/common/apitype/core.go)."""


@dataclass(frozen=True)
class Broken(Exception):
    """Why a checkpoint cannot be used. `newer`: a newer engine can read it."""

    why: str
    newer: bool = False


def backend_folder(backend_url: str) -> Path | None:
    """The folder of a file backend; None for other backends."""
    if not backend_url.startswith("file://"):
        return None
    return Path(backend_url.removeprefix("file://")).expanduser() / ".pulumi"


def checkpoint_file(backend_url: str, project: str, stack: str) -> Path | None:
    """The stack's checkpoint in a file backend; None if it does not exist or the backend is another."""
    base = backend_folder(backend_url)
    if base is None:
        return None
    stem = base / "stacks" / project / f"{stack}.json"
    return next((path for path in (stem, stem.with_name(stem.name + ".gz")) if path.is_file()), None)


def read(file: Path) -> dict[str, Any]:
    """The deployment in a checkpoint; `{}` if the stack has none yet. Raises `Broken`."""
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
            raise Broken(f"is truncated after {len(data)} bytes") from None
        raise Broken(f"is not JSON (line {error.lineno}: {error.msg})") from None
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("checkpoint"), dict):
        raise Broken("is JSON, but no checkpoint of Pulumi's")
    version = checkpoint.get("version")
    if not isinstance(version, int) or version < 1:
        raise Broken("has no version")
    latest = checkpoint["checkpoint"].get("latest") or {}
    if version > NEWEST_VERSION:
        pulumi_version = (latest.get("manifest") or {}).get("version") if isinstance(latest, dict) else None
        raise Broken(
            f"has version {version}, but this engine reads up to version {NEWEST_VERSION}"
            + (f" (Pulumi {pulumi_version} wrote it)" if pulumi_version else ""),
            newer=True,
        )
    if not isinstance(latest, dict):
        raise Broken("is JSON, but no checkpoint of Pulumi's")
    return latest


def drop_broken_attributes(backend_url: str, project: str, stack: str) -> list[Path]:
    """Remove truncated attribute files (`FILE.attrs`) of the stack, and return their paths.

    A file backend stores content type and checksum of each file in an attribute file, which it does not write
    atomically (gocloud.dev/blob/fileblob, attrs.go). If a killed engine left one truncated, the engine cannot read an
    intact state (`failed to load checkpoint: EOF`). The engine does not need the attribute file.
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
    """Raise `EnvironmentFault` for an unusable state file, with the copy that can replace it.

    `copies`: folder of `isthmus.engine.state.backup`.
    """
    file = checkpoint_file(backend_url, project, stack)
    if file is None:
        return
    try:
        read(file)
    except Broken as broken:
        if broken.newer:
            fix = "Use the Pulumi version that wrote it, or a newer one; an older version must not write this state"
        else:
            fix = _recovery_fix(file, stack, copies)
        raise EnvironmentFault(f"the state of stack {stack} {broken.why}", where=str(file), fix=fix) from None


def _recovery_fix(file: Path, stack: str, copies: Path) -> str:
    """The commands that restore the best copies."""
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
            f" {own_copies[-1]}` (the newest backup of Isthmus)"
        )
    if not options:
        return "No usable copy was found. Restore the file from a backup of the backend's folder (docs/recovery.md)"
    return f"Nothing was changed. Restore a copy: {', or '.join(options)}; then run the same command again"
