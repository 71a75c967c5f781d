"""Blueprints as folders: a header that states what each is for, a template, and a README."""

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
OWN = "ISTHMUS_BLUEPRINTS"
"""The environment variable that names folders with blueprints of the organisation's own."""
PARTS = "parts"
"""The folder beside the blueprints whose templates they include: a fix is made once."""
_FENCE = "---\n"


class Scale(Part):
    """The range of size that the topology was made for, in GPUs on-prem; no most: no bound is known."""

    gpus_from: int = Field(ge=0)
    gpus_to: int | None = Field(default=None, ge=0)
    words: str


class Header(Part):
    """What stands above a template, between two lines `---`."""

    name: str
    summary: str
    topology: Literal["one-site", "aws", "hybrid", "on-prem"]
    classes: list[Sensitivity] = Field(min_length=1)
    """The classes of data it is made for; a plan with another one is refused."""
    builds: list[Buildable] = Field(min_length=1)
    """Targets that it renders, and whether it cuts GPUs (`mig`) or lays replicas over several nodes
    (`several-nodes`); a plan with anything else is refused."""
    scale: Scale
    availability: str
    """What it survives, in words."""
    cost_to_leave: list[str] = Field(min_length=1)
    """What it takes to move away, part by part."""
    requires: list[str] = Field(min_length=1)
    """What the organisation has before it starts."""

    @field_validator("builds")
    @classmethod
    def _holds_together(cls, builds: list[Buildable]) -> list[Buildable]:
        if len(set(builds)) < len(builds):
            raise ValueError("one is listed twice")
        if not set(builds) & set(TARGETS):
            raise ValueError(f"it names no target: at least one of {', '.join(TARGETS)}")
        if {"mig", "several-nodes"} & set(builds) and not set(builds) & set(VLLM_TARGETS):
            raise ValueError(f"GPUs of ours serve on {' or '.join(VLLM_TARGETS)} only, and neither is listed")
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
        """The README for an architect (Markdown); `InputError` where there is none."""
        path = self.folder / "README.md"
        try:
            return path.read_text("utf-8")
        except OSError:
            raise InputError(
                f"blueprint `{self.name}` has no README", where=str(path), fix="Write what it is for"
            ) from None


def folders() -> list[Path]:
    """The catalogue's folder, and those of the organisation's own (`ISTHMUS_BLUEPRINTS`, as PATH is written).

    Raises `InputError` for one that is none, and where two folders have a blueprint of one name.
    """
    found, whose = [FOLDER], dict[str, Path]()
    for text in filter(None, os.environ.get(OWN, "").split(os.pathsep)):
        path = Path(text).expanduser().resolve()
        if not path.is_dir():
            raise InputError(f"`{text}` is no folder", where=OWN, fix="Correct it, or take it out")
        found += [path] if path not in found else []
    for folder in found:
        for path in folder.glob(f"*/{TEMPLATE}"):
            other = whose.setdefault(path.parent.name, folder)
            if other != folder:
                raise InputError(
                    f"blueprint `{path.parent.name}` stands in {other} and in {folder}",
                    where=OWN,
                    fix="Give yours a name of its own: a plan names its blueprint, and must mean one",
                )
    return found


def blueprints(folder: Path | None = None) -> list[Blueprint]:
    """Every blueprint of a folder, else of all; by name. A header that does not validate is an `InputError`."""
    paths = [path for each in _searched(folder) for path in each.glob(f"*/{TEMPLATE}")]
    return [_read(path.parent) for path in sorted(paths, key=lambda path: path.parent.name)]


def show(name: str, folder: Path | None = None) -> Blueprint:
    """The blueprint of that name; `InputError` with the nearest name where there is none."""
    known = {
        path.parent.name: path.parent for each in _searched(folder) for path in each.glob(f"*/{TEMPLATE}")
    }
    if name in known:
        return _read(known[name])
    from isthmus.core.validation_errors import did_you_mean

    names = sorted(known)
    told = f"The catalogue has: {', '.join(names)}" if names else f"The catalogue at {folder} is empty"
    own = (
        "" if folder or os.environ.get(OWN) else f". Blueprints of your own stand in folders that {OWN} names"
    )
    raise InputError(
        f"there is no blueprint `{name}`", fix=f"{did_you_mean(name, names)} {told}{own}".strip()
    )


def places(folder: Path | None = None) -> list[Path]:
    """The folders with files of which blueprints are made: their own, and those of the parts that they share."""
    found = [each for top in _searched(folder) for each in sorted(top.iterdir()) if each.is_dir()]
    return [*found, FOLDER / PARTS]


def _searched(folder: Path | None) -> list[Path]:
    return [folder] if folder is not None else folders()


def _read(folder: Path) -> Blueprint:
    from isthmus.core import yaml_files

    path = folder / TEMPLATE
    text = path.read_text("utf-8")
    head, fence, body = text.removeprefix(_FENCE).partition(f"\n{_FENCE}")
    if not text.startswith(_FENCE) or not fence:
        raise InputError(
            "the blueprint has no header",
            where=str(path),
            fix="Begin the file with a line `---`, the header's YAML, and a line `---`",
        )
    # A blank line in place of the fence keeps the numbers of the lines right in errors.
    header = yaml_files.parse(Header, yaml_files.loads(f"\n{head}\n", str(path)))
    if header.name != folder.name:
        raise InputError(
            f"the header names `{header.name}`, the folder `{folder.name}`",
            where=str(path),
            fix="Give both the same name",
        )
    return Blueprint(folder.name, folder, header, body, head.count("\n") + 4)
