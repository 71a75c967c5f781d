"""How to reach the gateways of a running stack: a file that people write, or what `isthmus sandbox serve` started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field

from isthmus.contracts.vocabulary import Sensitivity
from isthmus.core import yaml_files

if TYPE_CHECKING:
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
    return [_from_folder(gateway, file.parent.resolve()) for gateway in read.gateways]


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


def _from_folder(part: P, folder: Path) -> P:
    """Return the part with each relative path from a folder."""
    changed: dict[str, object] = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, Path):
            changed[name] = folder / value.expanduser()
        elif isinstance(value, Part):
            changed[name] = _from_folder(value, folder)
        elif isinstance(value, list):
            changed[name] = [_from_folder(item, folder) for item in value]
    return part.model_copy(update=changed)
