"""Sets the default `lifecycle` of a stack, and refuses disposable stacks whose records are locked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.core.errors import Refused, Where

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


def fill(merged: dict[str, Any], *, sandbox: bool) -> dict[str, Any]:
    """The merged platform with a lifecycle: a sandbox stack is disposable by default, a real stack durable."""
    return {"lifecycle": "disposable" if sandbox else "durable", **merged}


def check(platform: Platform, file: str) -> None:
    """Raise `Refused` for a real stack that is `disposable` and manages an audit store or a trail.

    A destroy would stop half-way. S3 does not delete a record that is locked in COMPLIANCE mode, nor its bucket, and
    by then the key that decrypts the record would be gone. A trail in an existing bucket uses that key too.
    """
    sealed = [f"the audit store {store.name}" for store in platform.audit if store.mode == "manage"]
    sealed += [f"the trail of {trail.site}" for trail in platform.trails if trail.mode == "manage"]
    if platform.lifecycle == "disposable" and sealed:
        raise Refused(
            f"a disposable stack would delete {', '.join(sealed)}, but the records are locked until their retention"
            " ends",
            where=Where(file, None, "isthmus:overrides.lifecycle"),
            fix="Use an existing audit store and trail (`mode: existing`), or set `lifecycle` to durable",
        )
