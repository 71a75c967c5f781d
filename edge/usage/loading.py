"""Loads a store's sealed records into a ledger: only seals that it does not have, each verified before it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from edge.audit.seal_format import Seal
from edge.audit.stores import Store
from edge.audit.verify import NotProven, read_sealed
from edge.usage.ledger import Ledger, MemoryLedger, Place, place_of
from edge.usage.rows import NamesPeople


class WrongStore(Exception):
    """The store is of another class or site. The text says of which."""


@dataclass(frozen=True)
class Source:
    """The store of a class at a site."""

    place: Place
    store: Store
    keys: dict[str, Any]
    """The sealer's public keys by id."""
    names_people: NamesPeople
    since: int = 1
    """The first seal that an empty ledger loads."""

    def read(self, after: tuple[int, str] | None) -> Iterator[tuple[Seal, list[dict[str, Any]]]]:
        """The verified seals after a seal. Raises NotProven, StoreFault and WrongStore."""
        for seal, records in read_sealed(self.store, self.keys, after=after, since=self.since):
            if (place := place_of(seal)) != self.place:
                raise WrongStore(f"it is of class {place.data_class} at {place.site}")
            yield seal, records


async def load_new(ledger: Ledger, source: Source, note: Callable[[Seal, int], None] | None = None) -> int:
    """Load the seals that the ledger does not have. Returns how many.

    `note` is told each seal that was loaded, with the number of its records.

    Raises NotProven at the first contradiction; the ledger has every seal before it. Also raises StoreFault,
    WrongStore, LedgerError and DatabaseDown.
    """
    last = next((loaded for loaded in await ledger.loaded() if loaded.place == source.place), None)
    count = 0
    seals = source.read((last.seal, last.hash) if last else None)
    # The next seal is read and verified in a thread while PostgreSQL writes this one.
    reading = asyncio.create_task(asyncio.to_thread(next, seals, None))
    try:
        while (read := await reading) is not None:
            reading = asyncio.create_task(asyncio.to_thread(next, seals, None))
            seal, records = read
            try:
                is_new = await ledger.take(seal, records, source.names_people)
            except ValueError as error:
                raise NotProven(f"seal {seal.number}: {error}") from None
            count += is_new
            if is_new and note is not None:
                note(seal, len(records))
    finally:
        await asyncio.wait([reading])
        if not reading.cancelled():
            reading.exception()  # that of an earlier seal counts
    return count


def read_all(source: Source) -> MemoryLedger:
    """The usage in a whole store. Raises NotProven, StoreFault and WrongStore."""
    ledger = MemoryLedger(source.names_people)
    for seal, records in source.read(None):
        try:
            ledger.take(seal, records)
        except ValueError as error:
            raise NotProven(f"seal {seal.number}: {error}") from None
    if ledger.last is None:
        raise NotProven("the store holds no seal")
    return ledger
