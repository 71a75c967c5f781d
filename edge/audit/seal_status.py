"""Reads the latest seal from the gateways' folder, and deletes sealed files."""

from __future__ import annotations

import itertools
import shutil
import time
from pathlib import Path
from typing import Any

from edge.audit import chain_files
from edge.audit.seal_format import ENDED, LATEST, SealBroken, check_head
from edge.file_changes import Stamp, stamp


class SealWatch:
    """The latest seal, read again when its file changes. A seal with a wrong signature is ignored."""

    def __init__(self, folder: Path, keys: dict[str, Any]) -> None:
        self._file, self._keys = folder / LATEST, keys
        self._stamp: Stamp | None = None
        self.writers: dict[str, dict[str, Any]] = {}
        self._number = -1

    def look(self) -> None:
        """Read the file if it changed. A seal older than the known one is ignored."""
        try:
            file_stamp = stamp(self._file)
            if file_stamp == self._stamp:
                return
            body = check_head(self._file.read_bytes().rstrip(b"\n"), self._keys)
        except (OSError, SealBroken):
            return
        self._stamp = file_stamp
        if body["seal"] > self._number:
            self._number, self.writers = body["seal"], body["writers"]

    def sealed(self, writer: str) -> int:
        """Number of a writer's last sealed record, or -1."""
        return self.writers.get(writer, {}).get("seq", -1)


def delete_sealed_files(root: Path, own_writer: str, watch: SealWatch, keep_s: float) -> list[str]:
    """Delete sealed files older than `keep_s`: folders of ended writers, and own files before the current one."""
    deleted, before = [], time.time() - keep_s
    for writer, status in watch.writers.items():
        folder = root / writer
        if writer == own_writer or status["state"] not in ENDED or not folder.is_dir():
            continue
        if max(path.stat().st_mtime for path in [folder, *folder.iterdir()]) < before:
            shutil.rmtree(folder)
            deleted.append(writer)
    own_status = watch.writers.get(own_writer)
    if own_status is None:
        return deleted
    listed = chain_files.record_files(root / own_writer)
    for (_, path), (after, _) in itertools.pairwise(listed):
        if after - 1 <= own_status["seq"] and path.stat().st_mtime < before:
            path.unlink()
            deleted.append(f"{own_writer}/{path.name}")
    for number, path in chain_files.content_files(root / own_writer)[:-1]:
        if number < own_status["content"][0] and path.stat().st_mtime < before:
            path.unlink()
            deleted.append(f"{own_writer}/{path.name}")
    return deleted
