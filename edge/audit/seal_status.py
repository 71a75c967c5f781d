"""What the sealer last left for the gateways: how far this writer's chain is sealed, and what may be cleared away."""

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
    """The latest seal, read again when its file changes; one with a wrong signature counts as none."""

    def __init__(self, folder: Path, keys: dict[str, Any]) -> None:
        self._file, self._keys = folder / LATEST, keys
        self._stamp: Stamp | None = None
        self.writers: dict[str, dict[str, Any]] = {}
        self._number = -1

    def look(self) -> None:
        """Read the file where it changed. An older seal than the one known changes nothing."""
        try:
            found = stamp(self._file)
            if found == self._stamp:
                return
            body = check_head(self._file.read_bytes().rstrip(b"\n"), self._keys)
        except (OSError, SealBroken):
            return
        self._stamp = found
        if body["seal"] > self._number:
            self._number, self.writers = body["seal"], body["writers"]

    def sealed(self, writer: str) -> int:
        """Number of a writer's last sealed record; -1 where none is."""
        return self.writers.get(writer, {}).get("seq", -1)


def clear(root: Path, own: str, watch: SealWatch, keep_s: float) -> list[str]:
    """Take away what is sealed and older: whole writers that have ended, and own files before the present one."""
    gone, before = [], time.time() - keep_s
    for writer, known in watch.writers.items():
        folder = root / writer
        if writer == own or known["state"] not in ENDED or not folder.is_dir():
            continue
        if max(path.stat().st_mtime for path in [folder, *folder.iterdir()]) < before:
            shutil.rmtree(folder)
            gone.append(writer)
    mine = watch.writers.get(own)
    if mine is None:
        return gone
    listed = chain_files.files(root / own)
    for (_, path), (after, _) in itertools.pairwise(listed):
        if after - 1 <= mine["seq"] and path.stat().st_mtime < before:
            path.unlink()
            gone.append(f"{own}/{path.name}")
    for number, path in chain_files.content_files(root / own)[:-1]:
        if number < mine["content"][0] and path.stat().st_mtime < before:
            path.unlink()
            gone.append(f"{own}/{path.name}")
    return gone
