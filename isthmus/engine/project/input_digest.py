"""What a run reads of its project, as one digest: that nobody changes it while it is compared and built."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.core.errors import EnvironmentFault, InputError

if TYPE_CHECKING:
    from isthmus.engine.project.project import Project

_CODE = Path(__file__).resolve().parents[3]
_ROOMS = ("blueprints", "components", "isthmus", "policies")
"""Of the checkout that the program imports, wherever the project lies."""
_STACK = re.compile(r"Pulumi\..+\.yaml")
_SALT = "encryptionsalt"
_MADE = ("__pycache__", ".pyc")


def fingerprint(project: Project) -> str:
    """Over the name and the content of each file: the project's own, those of its stacks and program, and the code.

    Without the salt of a stack's secrets, which the engine writes into the stack's settings where it makes one. Raises
    `EnvironmentFault` where a file cannot be read.
    """
    whole = hashlib.sha256()
    for file in sorted(set(_files(project))):
        try:
            content = _settings(file) if _STACK.fullmatch(file.name) else file.read_bytes()
        except OSError as error:
            raise EnvironmentFault(
                f"it cannot be read ({error.strerror})",
                where=str(file),
                fix="Make it readable, or take it away",
            ) from error
        for part in (str(file).encode(), content):
            whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def _settings(file: Path) -> bytes:
    """What a stack's settings say, however they are written."""
    from isthmus.core import yaml_files

    text = file.read_text("utf-8")
    try:
        said = yaml_files.loads(text).data
    except InputError:
        return text.encode()
    if isinstance(said, dict):
        said.pop(_SALT, None)
    return json.dumps(said, sort_keys=True, default=str).encode()


def _files(project: Project) -> Iterator[Path]:
    yield from (each for each in project.root.iterdir() if each.is_file())
    folders = [project.program_dir, project.stacks_dir, *(_CODE / room for room in _ROOMS)]
    for folder in folders:
        for each in folder.rglob("*"):
            if not any(each.name.endswith(made) or made in each.parts for made in _MADE) and each.is_file():
                yield each
