"""What the audit's commands share: which store, which keys, as of when."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

PublicKeys = Annotated[
    list[Path],
    typer.Option(
        "--public-key",
        metavar="FILE",
        help="The sealer's public key, PEM; earlier ones too.",
        show_default=False,
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Of an S3-compatible store; default: AWS's own.", show_default=False),
]
Region = Annotated[str, typer.Option(help="The store's region.")]
Credentials = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Shared credentials file; default: what AWS's own tools would use.",
        show_default=False,
    ),
]
Ca = Annotated[Path | None, typer.Option(metavar="FILE", help="The CA of the store.", show_default=False)]
Volume = Annotated[
    Path | None,
    typer.Option(
        "--volume",
        metavar="DIR",
        help="The gateways' volume (`records` and `seals` in it): what no seal holds yet is read there.",
        show_default=False,
    ),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Look as at this time, at a copy of then; default: now.", show_default=False
    ),
]
Since = Annotated[
    int, typer.Option(metavar="SEAL", help="Begin at this seal, and take its signature's word for before.")
]
Asked = tuple[str | None, str, Path | None, Path | None]
"""Endpoint, region, credentials and CA of a store."""


def open_store(name: str, asked: Asked) -> Any:
    """The store of that name; it is not asked yet."""
    from edge.audit.stores import FolderStore, S3Store

    if not name.startswith("s3://"):
        return FolderStore(folder(Path(name)))
    bucket, _, prefix = name.removeprefix("s3://").partition("/")
    return S3Store(s3_client(asked, "for the audit store"), bucket, prefix)


def s3_client(asked: Asked, why: str) -> Any:
    """A client of the store, with the credentials of the file or of the surroundings."""
    endpoint, region, credentials, ca = asked
    if credentials is not None:
        from edge.fetch import client

        return client(endpoint, region, credentials, ca)
    from isthmus.core.aws_session import session

    verified = str(ca) if ca else None
    return session(region, why=why).client("s3", endpoint_url=endpoint, verify=verified)


@contextlib.contextmanager
def store_told() -> Iterator[None]:
    """What a store fails in, as the environment's fault."""
    from edge.audit.stores import StoreFault
    from isthmus.core.errors import EnvironmentFault

    try:
        yield
    except StoreFault as error:
        raise EnvironmentFault(
            str(error), fix="Check the store's address, its CA, and that the credentials may read it"
        ) from None


def folder(path: Path) -> Path:
    """The path, where a folder is there; raises InputError."""
    from isthmus.core.errors import InputError

    if not path.is_dir():
        raise InputError("there is no such folder", where=str(path))
    return path


def time(text: str, where: str) -> datetime:
    """A day or a time, UTC where it names no zone; raises InputError."""
    from isthmus.core.errors import InputError

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"`{text}` is no time", where=where, fix="Write it like 2026-11-26 or 2026-11-26T15:00"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def now(as_of: str | None) -> datetime:
    """The time as of which is looked."""
    return datetime.now(UTC) if as_of is None else time(as_of, "--as-of")
