"""How to reach the gateways of a running stack: a file that people write, or what `isthmus sandbox serve` started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field

from isthmus.contracts.vocabulary import Sensitivity
from isthmus.core import yaml_files
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from isthmus.engine.project.project import Stack
    from sandbox.local.serving import Platform


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


P = TypeVar("P", bound=Part)


class Client(Part):
    """How somebody calls a server: its URL, their certificate, and the server's authority. Paths of PEM files."""

    url: str
    certificate: Path | None = None
    certificate_key: Path | None = None
    ca: Path | None = None
    """Absent: the machine's own authorities."""


class RecordAccess(Part):
    """Where the sealed record is read."""

    store: str
    """`s3://BUCKET/PREFIX`, or a folder."""
    public_key: Path
    """The sealer's public key."""
    endpoint: str | None = None
    """Of a store other than AWS."""
    region: str = "us-east-1"
    credentials: Path | None = None
    """A shared credentials file. Absent: as the AWS CLI finds them."""
    ca: Path | None = None


class Reviewer(Client):
    """A person who approves the answer, at the review service, if it is held. Class restricted needs two."""


class GatewayAccess(Client):
    """How to reach one gateway."""

    data_class: Annotated[Sensitivity, Field(alias="class")]
    site: str
    workload: str
    """Whose model is asked."""
    task: Literal["chat", "embedding"] = "chat"
    """What its model does."""
    key: Path
    """A file with a key of the workload."""
    record: RecordAccess | None = None
    reviewers: list[Reviewer] = []


class AccessFile(Part):
    """The content of a file of gateways."""

    gateways: Annotated[list[GatewayAccess], Field(min_length=1)]


def read_access(file: Path) -> list[GatewayAccess]:
    """Read a file of gateways; relative paths count from its folder. Raises `InputError`."""
    read = yaml_files.parse(AccessFile, yaml_files.load(file))
    return [from_folder(gateway, file.parent.resolve()) for gateway in read.gateways]


def gateways_of(stack: Stack, file: Path | None) -> list[GatewayAccess] | None:
    """The gateways in a file. Without one, those of the stack that `isthmus sandbox serve` started; None if it did not.

    Raises `InputError`.
    """
    if file is not None:
        return read_access(file)
    if not stack.sandbox:
        return None
    from sandbox import api

    served = api.served()
    return local_access(served) if served is not None and served.stack == stack.name else None


def evaluation_access(
    stack: Stack, file: Path | None, workload: str, data_class: Sensitivity
) -> GatewayAccess | None:
    """How an evaluation reaches a workload: its entry in the file, or what `isthmus sandbox serve` started.

    Args:
        stack: whose workload it is.
        file: a file of gateways with keys for evaluations; None takes what is served here.
        workload: its name.
        data_class: the workload's class. Cases of it go to no gateway of another class.

    Returns None where nothing is served and no file is given. Raises `InputError`.
    """
    if file is not None:
        return _evaluation_entry(file, workload, data_class)
    if not stack.sandbox:
        return None
    from sandbox import api

    served = api.served()
    if served is None or served.stack != stack.name:
        return None
    for door in served.doors:
        if door.data_class == data_class and workload in door.evaluation_key_files:
            return GatewayAccess(
                data_class=data_class,
                site=door.site,
                url=door.url,
                workload=workload,
                key=Path(door.evaluation_key_files[workload]),
                certificate=served.certificate,
                certificate_key=served.certificate_key,
                ca=served.ca,
            )
    return None


def _evaluation_entry(file: Path, workload: str, data_class: Sensitivity) -> GatewayAccess:
    found = [entry for entry in read_access(file) if entry.workload == workload]
    if len(found) != 1:
        raise InputError(
            f"the file has {len(found) or 'no'} gateways for the workload `{workload}`",
            where=str(file),
            fix="Write one entry with `workload` and `key`, the file of a key for evaluations",
        )
    [entry] = found
    if entry.data_class != data_class:
        raise InputError(
            f"the gateway for `{workload}` is of class {entry.data_class}, and the workload of class {data_class}",
            where=str(file),
            fix=f"Name the gateway of class {data_class}",
        )
    if not entry.url.startswith("https://"):
        raise InputError(f"the URL {entry.url} is not https", where=str(file), fix="Write https://…")
    return entry


def local_access(platform: Platform) -> list[GatewayAccess]:
    """The gateways that `isthmus sandbox serve` started, each with one of its workloads."""
    folder = Path(platform.folder)
    people = [
        (desk, folder / f"{name}.crt", folder / f"{name}.key")
        for desk in platform.desks
        for name in platform.reviewers
    ]
    return [
        GatewayAccess(
            data_class=cast("Sensitivity", door.data_class),
            site=door.site,
            url=door.url,
            workload=door.workloads[0],
            task="embedding" if door.tasks.get(door.workloads[0]) == "embedding" else "chat",
            key=Path(door.key_files[door.workloads[0]]),
            certificate=platform.certificate,
            certificate_key=platform.certificate_key,
            ca=platform.ca,
            record=RecordAccess(
                store=door.store,
                public_key=Path(door.public_key),
                endpoint=door.store_endpoint,
                credentials=platform.credentials,
            ),
            reviewers=[
                Reviewer(url=desk.url, certificate=certificate, certificate_key=key, ca=platform.ca)
                for desk, certificate, key in people
                if (desk.data_class, desk.site) == (door.data_class, door.site)
            ],
        )
        for door in platform.doors
    ]


def from_folder(part: P, folder: Path) -> P:
    """Return the part with each relative path from a folder."""
    changed: dict[str, object] = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, Path):
            changed[name] = folder / value.expanduser()
        elif isinstance(value, Part):
            changed[name] = from_folder(value, folder)
        elif isinstance(value, list):
            changed[name] = [from_folder(item, folder) for item in value]
    return part.model_copy(update=changed)
