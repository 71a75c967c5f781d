"""How a person reaches what stops a workload: a file that they write, or what `isthmus sandbox serve` started."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from isthmus.contracts.vocabulary import Sensitivity
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from isthmus.engine.verification.access import Client, Part, from_folder

if TYPE_CHECKING:
    from sandbox.local.serving import Platform


class Desk(Client):
    """A review service, and the certificate of a senior reviewer."""

    data_class: Annotated[Sensitivity, Field(alias="class")]
    site: str


class DatabaseFile(Part):
    """A file with the person's own access to a gateway's database, as for `python -m edge.stops`."""

    data_class: Annotated[Sensitivity, Field(alias="class")]
    site: str
    file: Path


class AccessFile(Part):
    """The content of a file of `--access`."""

    desks: list[Desk] = []
    databases: list[DatabaseFile] = []


@dataclass(frozen=True)
class Access:
    """What a person may use, by class and site."""

    desks: dict[tuple[str, str], Client] = field(default_factory=dict)
    databases: dict[tuple[str, str], Path] = field(default_factory=dict)
    files: dict[tuple[str, str], Path] = field(default_factory=dict)
    """Files of stops on this machine: of the sandbox's gateways without a database."""
    person: str = ""
    """Who writes into such a file."""


def read_access(file: Path) -> Access:
    """Read a file of `--access`; relative paths count from its folder. Raises `InputError`."""
    read = from_folder(yaml_files.parse(AccessFile, yaml_files.load(file)), file.parent.resolve())
    return Access(
        {(desk.data_class, desk.site): desk for desk in read.desks},
        {(database.data_class, database.site): database.file for database in read.databases},
    )


def local_access(platform: Platform, person: str | None) -> Access:
    """What one of the sandbox's seniors may use. `person` None: the first one. Raises `InputError`."""
    from sandbox.local.secrets import SENIORS

    name = person or SENIORS[0]
    if name not in SENIORS:
        raise InputError(
            f"`{name}` may not stop a workload in the sandbox",
            where="--as",
            fix=f"Choose one of: {', '.join(SENIORS)}",
        )
    folder = Path(platform.folder)
    desks = {
        (desk.data_class, desk.site): Client(
            url=desk.url,
            certificate=folder / f"{name}.crt",
            certificate_key=folder / f"{name}.key",
            ca=platform.ca,
        )
        for desk in platform.desks
    }
    doors = {(door.data_class, door.site): door for door in platform.doors}
    return Access(
        desks,
        {place: Path(door.databases[name]) for place, door in doors.items() if door.databases},
        {place: Path(door.stops) for place, door in doors.items() if door.stops},
        name,
    )
