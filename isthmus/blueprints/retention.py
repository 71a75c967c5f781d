"""Whether a stack's records and models outlive it: the default, and what cannot be thrown away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.core.errors import Refused, Where

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


def fill(merged: dict[str, Any], *, sandbox: bool) -> dict[str, Any]:
    """What is of the sandbox goes with its stack; of everything else what is precious stays."""
    return {"lifecycle": "disposable" if sandbox else "durable", **merged}


def check(platform: Platform, file: str) -> None:
    """Raise `Refused` where a real stack says `disposable` and seals records that nobody may lose.

    A destroy would end half-way: S3 lets nobody delete a record that is locked in COMPLIANCE mode, nor the
    bucket that holds one, and the key that opens it would be gone by then. A trail is sealed under our key in
    an existing bucket, too.
    """
    sealed = [f"the audit store {store.name}" for store in platform.audit if store.mode == "manage"]
    sealed += [f"the trail of {trail.site}" for trail in platform.trails if trail.mode == "manage"]
    if platform.lifecycle == "disposable" and sealed:
        raise Refused(
            f"a disposable stack would take {', '.join(sealed)} with it, whose records are locked until their time"
            " is over",
            where=Where(file, None, "isthmus:overrides.lifecycle"),
            fix="Name a store and a trail that the organisation keeps (`mode: existing`), or leave the stack durable",
        )
