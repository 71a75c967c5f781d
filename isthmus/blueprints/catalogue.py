"""Finds blueprints and reads them. A blueprint is a folder with a header, a template and a README."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from isthmus.contracts.vocabulary import TARGETS, VLLM_TARGETS, Buildable, Part, Sensitivity
from isthmus.core.errors import InputError

FOLDER = Path(__file__).resolve().parents[2] / "blueprints"
"""The catalogue of this checkout."""
TEMPLATE = "blueprint.yaml.j2"
VARIABLE = "ISTHMUS_BLUEPRINTS"
"""The environment variable that lists the organisation's own folders of blueprints."""
PARTS = "parts"
"""The folder with templates that several blueprints include."""
_FENCE = "---\n"


class Scale(Part):
    """The range of sizes that the topology fits, in on-prem GPUs. Without `gpus_to`, no upper bound is known."""

    gpus_from: int = Field(ge=0)
    gpus_to: int | None = Field(default=None, ge=0)
    words: str


class Header(Part):
    """The header of a template: the YAML between two lines `---`."""

    name: str
    summary: str
    topology: Literal["one-site", "aws", "hybrid", "on-prem"]
    classes: list[Sensitivity] = Field(min_length=1)
    """The classes of data that the blueprint is made for. A plan with another class is refused."""
    builds: list[Buildable] = Field(min_length=1)
    """Targets that it renders, and whether it supports MIG slices (`mig`), replicas on several nodes
    (`several-nodes`) and overflow (`overflow`). A plan that needs anything else is refused."""
    scale: Scale
    availability: str
    """The failures that it survives, as text."""
    cost_to_leave: list[str] = Field(min_length=1)
    """The effort to move away, for each part."""
    requires: list[str] = Field(min_length=1)
    """What the organisation must have before it starts."""

    @field_validator("builds")
    @classmethod
    def _holds_together(cls, builds: list[Buildable]) -> list[Buildable]:
        if len(set(builds)) < len(builds):
            raise ValueError("it lists a value twice")
        if not set(builds) & set(TARGETS):
            raise ValueError(f"it names no target; add at least one of {', '.join(TARGETS)}")
        if {"mig", "several-nodes"} & set(builds) and not set(builds) & set(VLLM_TARGETS):
            raise ValueError(f"`mig` and `several-nodes` need {' or '.join(VLLM_TARGETS)}; add one of them")
        return builds


@dataclass(frozen=True)
class Blueprint:
    """One blueprint of the catalogue."""

    name: str
    folder: Path
    header: Header
    body: str
    """The Jinja2 template below the header."""
    body_line: int
    """The line of the file on which the body begins, from 1."""

    @property
    def template(self) -> Path:
        return self.folder / TEMPLATE

    @property
    def readme(self) -> str:
        """The README for an architect, as Markdown. Raises `InputError` if it is missing."""
        path = self.folder / "README.md"
        try:
            return path.read_text("utf-8")
        except OSError:
            raise InputError(
                f"blueprint `{self.name}` has no README",
                where=str(path),
                fix="Write a README.md that says what the blueprint is for",
            ) from None


def folders() -> list[Path]:
    """The folder of this checkout's blueprints, and the folders in `ISTHMUS_BLUEPRINTS` (written like PATH).

    Raises `InputError` for a path that is not a folder, and for a blueprint name that two folders have.
    """
    catalogue_folders, owners = [FOLDER], dict[str, Path]()
    for text in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        path = Path(text).expanduser().resolve()
        if not path.is_dir():
            raise InputError(
                f"`{text}` is not a folder", where=VARIABLE, fix="Correct the path, or remove it"
            )
        catalogue_folders += [path] if path not in catalogue_folders else []
    for folder in catalogue_folders:
        for path in folder.glob(f"*/{TEMPLATE}"):
            owner = owners.setdefault(path.parent.name, folder)
            if owner != folder:
                raise InputError(
                    f"two blueprints are named `{path.parent.name}`: one in {owner}, one in {folder}",
                    where=VARIABLE,
                    fix="Rename your blueprint. A plan refers to a blueprint by its name",
                )
    return catalogue_folders


def blueprints(folder: Path | None = None) -> list[Blueprint]:
    """Every blueprint of a folder (default: of all folders), sorted by name. Raises `InputError` for a bad header."""
    paths = [path for searched in _searched_folders(folder) for path in searched.glob(f"*/{TEMPLATE}")]
    return [_read_blueprint(path.parent) for path in sorted(paths, key=lambda path: path.parent.name)]


def show(name: str, folder: Path | None = None) -> Blueprint:
    """The blueprint with this name. Raises `InputError` with the nearest name if there is none."""
    folder_of = {
        path.parent.name: path.parent
        for searched in _searched_folders(folder)
        for path in searched.glob(f"*/{TEMPLATE}")
    }
    if name in folder_of:
        return _read_blueprint(folder_of[name])
    from isthmus.core.validation_errors import did_you_mean

    names = sorted(folder_of)
    available = f"The catalogue has: {', '.join(names)}" if names else f"The catalogue at {folder} is empty"
    hint = (
        ""
        if folder or os.environ.get(VARIABLE)
        else f". Set {VARIABLE} to the folders of your own blueprints"
    )
    raise InputError(
        f"there is no blueprint `{name}`", fix=f"{did_you_mean(name, names)} {available}{hint}".strip()
    )


def source_folders(folder: Path | None = None) -> list[Path]:
    """The folders whose files make up the blueprints: each blueprint's folder, and the shared parts."""
    subfolders = [
        subfolder
        for searched in _searched_folders(folder)
        for subfolder in sorted(searched.iterdir())
        if subfolder.is_dir()
    ]
    return [*subfolders, FOLDER / PARTS]


def _searched_folders(folder: Path | None) -> list[Path]:
    return [folder] if folder is not None else folders()


def _read_blueprint(folder: Path) -> Blueprint:
    from isthmus.core import yaml_files

    path = folder / TEMPLATE
    text = path.read_text("utf-8")
    head, fence, body = text.removeprefix(_FENCE).partition(f"\n{_FENCE}")
    if not text.startswith(_FENCE) or not fence:
        raise InputError(
            "the blueprint has no header",
            where=str(path),
            fix="Begin the file with a line `---`, the YAML of the header, and a line `---`",
        )
    # A blank line replaces the fence, so that errors have the right line numbers.
    header = yaml_files.parse(Header, yaml_files.loads(f"\n{head}\n", str(path)))
    if header.name != folder.name:
        raise InputError(
            f"the header has the name `{header.name}`, but the folder is `{folder.name}`",
            where=str(path),
            fix=f"Set `name` to {folder.name}, or rename the folder",
        )
    return Blueprint(folder.name, folder, header, body, head.count("\n") + 4)
