"""What one run of the studio knows: the draft, its earlier states, the kept draft, and the file that it is saved to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.contracts.plan.files import plan_beside
from isthmus.core import yaml_files
from isthmus.core.errors import InputError, Refused
from isthmus.core.yaml_documents import PathOf
from isthmus.studio import text_edits
from isthmus.studio.jobs import Draft

_MOST_UNDO = 500


@dataclass
class Session:
    """A draft of one requirements file. Nothing is written before `save`."""

    path: Path
    text: str = ""
    kept: Draft | None = None
    """The draft with which the present one is compared."""
    _on_disk: str = ""
    _plan_on_disk: str = ""
    _undo: list[str] = field(default_factory=list)
    _redo: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> Session:
        """Read the file. Raises `InputError` if it is missing or no YAML."""
        session = cls(path)
        session.load()
        return session

    def load(self) -> None:
        """Read the file again; the draft before it can be had back by `undo`."""
        yaml_files.load(self.path)
        text = self.path.read_text("utf-8-sig")
        if self.text and self.text != text:
            self._remember()
        self.text = text
        self._on_disk = _digest(self.path)
        self._plan_on_disk = _digest(plan_beside(self.path))

    @property
    def is_changed(self) -> bool:
        """Whether the draft differs from the file as it was read or saved."""
        return hashlib.sha256(self.text.encode()).hexdigest() != self._on_disk

    @property
    def data(self) -> dict[str, Any] | None:
        """The draft's values; None while its text is no YAML."""
        try:
            return yaml_files.loads(self.text, self.path.name).data
        except InputError:
            return None

    @property
    def can_undo(self) -> bool:
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        return bool(self._redo)

    def replace(self, text: str) -> None:
        """Take another text as the draft, whether it is valid or not."""
        if text != self.text:
            self._remember()
            self.text = text

    def set(self, path: PathOf, value: Any) -> None:
        self.replace(text_edits.set_value(self.text, path, value))

    def add(self, path: PathOf, value: Any) -> None:
        self.replace(text_edits.add_item(self.text, path, value))

    def remove(self, path: PathOf) -> None:
        self.replace(text_edits.remove(self.text, path))

    def undo(self) -> None:
        if self._undo:
            self._redo.append(self.text)
            self.text = self._undo.pop()

    def redo(self) -> None:
        if self._redo:
            self._undo.append(self.text)
            self.text = self._redo.pop()

    def draft(self, scale_traffic: float = 1.0, blueprint: str | None = None) -> Draft:
        return Draft(self.text, str(self.path), scale_traffic, blueprint)

    def save(self, plan: str | None) -> list[str]:
        """Write the draft, and the text of its plan if one is given. Returns the paths that were written.

        Raises `Refused`, and writes nothing, if one of the files changed since it was read.
        """
        beside = plan_beside(self.path)
        if plan is not None and beside is None:
            raise InputError(
                f"no plan can be saved beside {self.path.name}",
                where=str(self.path),
                fix="Give the file a name that ends with .requirements.yaml",
            )
        _check_unchanged(self.path, self._on_disk)
        if plan is not None and beside is not None:
            _check_unchanged(beside, self._plan_on_disk)
        written = []
        if self.is_changed:
            yaml_files.write_text(self.path, self.text)
            self._on_disk = _digest(self.path)
            written.append(str(self.path))
        if plan is not None and beside is not None:
            yaml_files.write_text(beside, plan)
            self._plan_on_disk = _digest(beside)
            written.append(str(beside))
        return written

    def _remember(self) -> None:
        self._undo = [*self._undo[-_MOST_UNDO:], self.text]
        self._redo = []


def _digest(path: Path | None) -> str:
    """SHA-256 of a file; empty if there is none."""
    if path is None or not path.exists():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_unchanged(path: Path, digest: str) -> None:
    if _digest(path) != digest:
        raise Refused(
            f"{path.name} was changed by somebody else since the studio read it, so it is not overwritten",
            where=str(path),
            fix="Load the file again. Your draft can be had back with Undo",
        )
