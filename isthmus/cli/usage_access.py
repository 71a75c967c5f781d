"""Where `isthmus usage` reads: the stores of a stack's gateways, and the ledger's database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edge.audit import seal_format
from edge.audit.stores import StoreFault
from edge.audit.verify import NotProven
from edge.config.base import ConfigError
from edge.config.database import read_database_settings
from edge.database import Database, DatabaseDown
from edge.database.migrations import outdated
from edge.usage.ledger import TIMEOUT_S, Ledger, LedgerError, Place
from edge.usage.loading import Source, WrongStore
from isthmus.cli.audit_options import StoreAccess, open_store
from isthmus.contracts.reference import handling
from isthmus.contracts.requirements import document
from isthmus.core.errors import EnvironmentFault, InputError, Refused
from isthmus.engine.verification import access

if TYPE_CHECKING:
    from isthmus.engine.project.project import Stack

T = TypeVar("T")


def sources_of(stack: Stack, gateways: Path | None, since: int, *, with_people: bool = True) -> list[Source]:
    """The stores of the stack's gateways.

    Args:
        stack: its requirements say which classes name people.
        gateways: file that says where the records are. None: what `isthmus sandbox serve` started.
        since: the first seal that is read.
        with_people: whether usage is also wanted by person. False: the requirements are not read.

    Raises `InputError`.
    """
    names_people = _people(stack) if with_people else _nobody
    sources: dict[Place, Source] = {}
    for place, record in _records(stack, gateways):
        try:
            keys = seal_format.read_pem(record.public_key)
        except (OSError, ValueError) as error:
            raise InputError(
                f"it is not a sealer's public key: {error}",
                where=str(record.public_key),
                fix="Give its PEM file",
            ) from None
        store_access = StoreAccess(
            endpoint=record.endpoint, region=record.region, credentials=record.credentials, ca=record.ca
        )
        store = open_store(record.store, store_access)
        sources[place] = Source(place, store, keys, names_people, since)
    return list(sources.values())


def _records(stack: Stack, gateways: Path | None) -> list[tuple[Place, access.RecordAccess]]:
    """Class and site, and where its record is. Raises `InputError` if nothing says so."""
    records = [
        (Place(gateway.data_class, gateway.site), gateway.record)
        for gateway in access.gateways_of(stack, gateways) or []
        if gateway.record is not None and gateway.record.store
    ]
    if not records:
        raise InputError(
            "nothing says where the gateways' records are",
            where=stack.name,
            fix=f"Run `isthmus sandbox serve {stack.name}` first"
            if stack.sandbox and gateways is None
            else "State `record` of each gateway in a file for --gateways (docs/usage.md)",
        )
    return records


def _people(stack: Stack) -> Callable[[str], bool]:
    """Whether the ledger names people of a workload. Raises `InputError` and `Refused`."""
    requirements = document.load(stack.project.stacks_dir / f"{stack.family}.requirements.yaml")
    table = handling.stricter_only(requirements.handling)
    named = {
        workload.name: table[workload.sensitivity].usage_by_person for workload in requirements.workloads
    }
    return lambda workload: named.get(workload, False)


def sandbox_ledger(stack: Stack) -> Path | None:
    """File of the usage ledger that `isthmus sandbox serve` fills for the stack. None: it does not."""
    if not stack.sandbox:
        return None
    from sandbox.home import Home
    from sandbox.local import served

    document = served.read_document(Home.at()) or {}
    return (
        Path(document["ledger"]) if document.get("stack") == stack.name and document.get("ledger") else None
    )


def _nobody(_: str) -> bool:
    return False


def with_ledger(file: Path, work: Callable[[Ledger], Coroutine[object, object, T]]) -> T:
    """Run `work` on the ledger. Raises `InputError`, `Refused` and `EnvironmentFault`."""

    async def run() -> T:
        database = Database(read_database_settings(file), TIMEOUT_S)
        try:
            if problem := await outdated(database):
                raise EnvironmentFault(
                    problem, where=str(file), fix="Ask who owns the database (docs/usage.md)"
                )
            return await work(Ledger(database))
        finally:
            await database.close()

    with _ledger_errors(file):
        return asyncio.run(run())


@contextlib.contextmanager
def _ledger_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise InputError(str(error), where="--ledger", fix="Give the file of the ledger's database") from None
    except LedgerError as error:
        raise Refused(str(error), where=str(file), fix=error.fix) from None
    except DatabaseDown as error:
        raise EnvironmentFault(
            f"the database did not answer ({error})",
            where=str(file),
            fix="Check its address, and that this user may use the ledger (docs/usage.md)",
        ) from None


@contextlib.contextmanager
def store_errors_of(place: Place) -> Iterator[None]:
    """Convert errors of a class's store to those of the command line."""
    where = f"records of class {place.data_class} at {place.site}"
    try:
        yield
    except NotProven as error:
        raise Refused(
            f"they are not proven, so their usage is not counted: {error}",
            where=where,
            fix="Run `isthmus audit verify`, and look up each finding in docs/audit.md",
        ) from None
    except WrongStore as error:
        raise InputError(
            f"the store is another one: {error}", where=where, fix="Correct the file of --gateways"
        ) from None
    except StoreFault as error:
        raise EnvironmentFault(
            str(error),
            where=where,
            fix="Check the store's address, its CA, and the permissions of the credentials",
        ) from None
