"""Digest of every file that a run reads, to detect a change between an approved preview and the update."""

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

_CODE_ROOT = Path(__file__).resolve().parents[3]
_CODE_FOLDERS = ("blueprints", "components", "isthmus", "policies")
"""Folders of the Isthmus checkout that the program imports, wherever the project is."""
_STACK_FILE = re.compile(r"Pulumi\..+\.yaml")
_SALT = "encryptionsalt"
_GENERATED = ("__pycache__", ".pyc")


def fingerprint(project: Project) -> str:
    """SHA-256 over name and content of the project's files, its stacks, its program, and the code of Isthmus.

    `encryptionsalt` is left out, because the engine writes it into the settings of a new stack. Raises
    `EnvironmentFault` for a file that cannot be read.
    """
    digest = hashlib.sha256()
    for file in sorted(set(_input_files(project))):
        try:
            content = _stack_settings(file) if _STACK_FILE.fullmatch(file.name) else file.read_bytes()
        except OSError as error:
            raise EnvironmentFault(
                f"the file cannot be read ({error.strerror})",
                where=str(file),
                fix="Make the file readable, or remove it",
            ) from error
        for content_part in (str(file).encode(), content):
            digest.update(len(content_part).to_bytes(8, "big") + content_part)
    return digest.hexdigest()


def _stack_settings(file: Path) -> bytes:
    """A stack's settings as canonical JSON, so that formatting does not count."""
    from isthmus.core import yaml_files

    text = file.read_text("utf-8")
    try:
        settings = yaml_files.loads(text).data
    except InputError:
        return text.encode()
    if isinstance(settings, dict):
        settings.pop(_SALT, None)
    return json.dumps(settings, sort_keys=True, default=str).encode()


def _input_files(project: Project) -> Iterator[Path]:
    yield from (path for path in project.root.iterdir() if path.is_file())
    folders = [
        project.program_dir,
        project.stacks_dir,
        *(_CODE_ROOT / folder_name for folder_name in _CODE_FOLDERS),
    ]
    for folder in folders:
        for path in folder.rglob("*"):
            if (
                not any(path.name.endswith(suffix) or suffix in path.parts for suffix in _GENERATED)
                and path.is_file()
            ):
                yield path
