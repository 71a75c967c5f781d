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

_CODE_ROOT = Path(__file__).resolve().parents[3]
_CODE_FOLDERS = ("blueprints", "components", "isthmus", "policies")
"""Of the checkout that the program imports, wherever the project lies."""
_STACK_FILE = re.compile(r"Pulumi\..+\.yaml")
_SALT = "encryptionsalt"
_GENERATED = ("__pycache__", ".pyc")


def fingerprint(project: Project) -> str:
    """Over the name and the content of each file: the project's own, those of its stacks and program, and the code.

    Without the salt of a stack's secrets, which the engine writes into the stack's settings where it makes one. Raises
    `EnvironmentFault` where a file cannot be read.
    """
    digest = hashlib.sha256()
    for file in sorted(set(_input_files(project))):
        try:
            content = _stack_settings(file) if _STACK_FILE.fullmatch(file.name) else file.read_bytes()
        except OSError as error:
            raise EnvironmentFault(
                f"it cannot be read ({error.strerror})",
                where=str(file),
                fix="Make it readable, or take it away",
            ) from error
        for content_part in (str(file).encode(), content):
            digest.update(len(content_part).to_bytes(8, "big") + content_part)
    return digest.hexdigest()


def _stack_settings(file: Path) -> bytes:
    """What a stack's settings say, however they are written."""
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
