"""Options of the audit commands: store, credentials, keys, time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edge.audit.seal_format import Seal
    from edge.audit.verify import Proof

_PUBLIC_KEY = typer.Option(
    "--public-key",
    metavar="FILE",
    help="The sealer's public key, PEM; earlier ones too.",
    show_default=False,
)
PublicKeys = Annotated[list[Path], _PUBLIC_KEY]
OptionalPublicKeys = Annotated[list[Path] | None, _PUBLIC_KEY]
Endpoint = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Endpoint of an S3-compatible store; default: AWS.", show_default=False),
]
Region = Annotated[str, typer.Option(help="The store's region.")]
Credentials = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Shared credentials file; default: that of the AWS CLI.",
        show_default=False,
    ),
]
Ca = Annotated[
    Path | None, typer.Option(metavar="FILE", help="CA certificate of the store.", show_default=False)
]
Volume = Annotated[
    Path | None,
    typer.Option(
        "--volume",
        metavar="DIR",
        help="The gateways' volume (with `records` and `seals`), to check records that are not sealed yet.",
        show_default=False,
    ),
]
AsOf = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Verify a copy as of this time; default: now.", show_default=False),
]
Since = Annotated[
    int, typer.Option(metavar="SEAL", help="Start at this seal; its signature stands for everything before.")
]


@dataclass(frozen=True, kw_only=True)
class StoreAccess:
    """How to reach a store in S3."""

    endpoint: Endpoint = None
    region: Region = "us-east-1"
    credentials: Credentials = None
    ca: Ca = None


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Options of a verification of one store."""

    volume: Volume = None
    since: Since = 1
    as_of: AsOf = None
    access: StoreAccess


def open_store(name: str, access: StoreAccess) -> Any:
    """The store with this name. Makes no request yet."""
    from edge.audit.stores import FolderStore, S3Store

    if not name.startswith("s3://"):
        return FolderStore(existing_folder(Path(name)))
    bucket, _, prefix = name.removeprefix("s3://").partition("/")
    return S3Store(s3_client(access, "for the audit store"), bucket, prefix)


def s3_client(access: StoreAccess, why: str) -> Any:
    """An S3 client, with credentials from the file or from the environment."""
    if access.credentials is not None:
        from edge.fetch import client

        return client(access.endpoint, access.region, access.credentials, access.ca)
    from isthmus.core.aws_session import session

    verified = str(access.ca) if access.ca else None
    return session(access.region, why=why).client("s3", endpoint_url=access.endpoint, verify=verified)


@contextlib.contextmanager
def store_errors() -> Iterator[None]:
    """Convert errors of a store to `EnvironmentFault`."""
    from edge.audit.stores import StoreFault
    from isthmus.core.errors import EnvironmentFault

    try:
        yield
    except StoreFault as error:
        raise EnvironmentFault(
            str(error), fix="Check the store's address, its CA, and the permissions of the credentials"
        ) from None


def existing_folder(path: Path) -> Path:
    """The path, if it is a folder. Raises `InputError` otherwise."""
    from isthmus.core.errors import InputError

    if not path.is_dir():
        raise InputError("the folder does not exist", where=str(path), fix="Check the path")
    return path


def parse_time(text: str, where: str) -> datetime:
    """Parse a day or a time; UTC without a time zone. Raises `InputError`."""
    from isthmus.core.errors import InputError

    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"`{text}` is not a time", where=where, fix="Write it like 2026-11-26 or 2026-11-26T15:00"
        ) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def parse_as_of(as_of: str | None) -> datetime:
    """The time of `--as-of`, or now."""
    return datetime.now(UTC) if as_of is None else parse_time(as_of, "--as-of")


def verified(
    store: str,
    public_keys: list[Path],
    verification: Verification,
    **more: Any,
) -> Proof:
    """Verify a store. `more`: further arguments of `edge.audit.verify.verify`. Raises `InputError` and
    `EnvironmentFault`."""
    from edge.audit import seal_format
    from edge.audit import verify as verifying
    from isthmus.core.errors import InputError

    keys: dict[str, Any] = {}
    for file in public_keys:
        try:
            keys |= seal_format.read_pem(file)
        except (OSError, ValueError) as error:
            raise InputError(
                f"it is not a sealer's public key: {error}", where=str(file), fix="Give its PEM file"
            ) from None
    volume = verification.volume
    if volume is not None:
        for part in ("records", "seals"):
            existing_folder(volume / part)
    opened = open_store(store, verification.access)
    with store_errors():
        return verifying.verify(
            opened,
            keys,
            now=parse_as_of(verification.as_of),
            since=verification.since,
            records=volume / "records" if volume else None,
            seals=volume / "seals" if volume else None,
            **more,
        )


def proven(
    store: str,
    public_keys: list[Path],
    verification: Verification,
    on_record: Callable[[dict[str, Any], Seal | None], None],
    consequence: str,
) -> Proof:
    """Verify a store and read its records, with the seal of each. It has a seal.

    Raises `Refused` if records were changed, with the `consequence`, and what `verified` raises.
    """
    from isthmus.core.errors import Refused

    proof = verified(store, public_keys, verification, on_record=on_record)
    if not proof.proven:
        raise Refused(
            f"the record is not proven, so {consequence}: {proof.findings[0]}",
            where=store,
            fix="Run `isthmus audit verify`, and look up each finding in docs/audit.md",
        )
    return proof
