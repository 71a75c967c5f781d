"""Blueprints as folders: a header that states what each is for, a template, and a README."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from isthmus.contracts.errors import InputError
from isthmus.contracts.words import TARGETS, VLLM_TARGETS, Buildable, Part, Sensitivity

FOLDER = Path(__file__).resolve().parents[2] / "blueprints"
"""The catalogue of this checkout."""
TEMPLATE = "blueprint.yaml.j2"
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
                f"blueprint `{self.name}` has no README", where=str(path), todo="Write what it is for"
            ) from None


def blueprints(folder: Path = FOLDER) -> list[Blueprint]:
    """Every blueprint of the catalogue, by name. A header that does not validate is an `InputError`."""
    return [_read(path.parent) for path in sorted(folder.glob(f"*/{TEMPLATE}"))]


def show(name: str, folder: Path = FOLDER) -> Blueprint:
    """The blueprint of that name; `InputError` with the nearest name where there is none."""
    names = sorted(path.parent.name for path in folder.glob(f"*/{TEMPLATE}"))
    if name in names:
        return _read(folder / name)
    from isthmus.contracts.explain import did_you_mean

    hint = did_you_mean(name, names)
    known = f"The catalogue has: {', '.join(names)}" if names else f"The catalogue at {folder} is empty"
    raise InputError(f"there is no blueprint `{name}`", todo=f"{hint} {known}".strip())


def _read(folder: Path) -> Blueprint:
    from isthmus.contracts import yamlfile

    path = folder / TEMPLATE
    text = path.read_text("utf-8")
    head, fence, body = text.removeprefix(_FENCE).partition(f"\n{_FENCE}")
    if not text.startswith(_FENCE) or not fence:
        raise InputError(
            "the blueprint has no header",
            where=str(path),
            todo="Begin the file with a line `---`, the header's YAML, and a line `---`",
        )
    # A blank line in place of the fence keeps the numbers of the lines right in errors.
    header = yamlfile.parse(Header, yamlfile.loads(f"\n{head}\n", str(path)))
    if header.name != folder.name:
        raise InputError(
            f"the header names `{header.name}`, the folder `{folder.name}`",
            where=str(path),
            todo="Give both the same name",
        )
    return Blueprint(folder.name, folder, header, body, head.count("\n") + 4)
