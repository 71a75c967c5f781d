"""Rules for usage ledgers: they stay in their class, and their loaders can read the records and nothing more."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from edge.config import LoaderConfig
from isthmus.contracts.platform.lookups.records import audit_store_of, place_of
from isthmus.contracts.platform.lookups.usage import ledger_of, loader_settings
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.platform.model.usage import UsageLedger
from isthmus.contracts.platform.rules.signed_on_pages import Path, check_within_class
from isthmus.core.errors import FieldError, caught, raise_all, what_and_fix

_SPARE_HEALTH = {"host": "127.0.0.1", "port": 9090}
"""Stands for the settings that a component adds."""


def loaders_can_work(platform: Platform) -> None:
    """A loader runs on-prem, reads with credentials of its own, and fills a ledger where its class may be."""
    raise_all(
        error
        for path, gateway, ledger in _ledgers(platform)
        for check in (_check_place, _check_own_access, _check_class, _check_settings)
        for error in caught(check, platform, path, gateway, ledger)
    )


def _ledgers(platform: Platform) -> Iterator[tuple[Path, Gateway, UsageLedger]]:
    for index, gateway in enumerate(platform.gateways):
        if (ledger := ledger_of(gateway)) is not None:
            yield ("gateways", index, "usage", "ledger"), gateway, ledger


def _check_place(platform: Platform, path: Path, gateway: Gateway, _: UsageLedger) -> None:
    """The loader's pod is in an on-prem cluster, with a store whose address is known."""
    if place_of(platform, gateway) != "on-prem":
        raise FieldError(
            f"gateway {gateway.name} runs in AWS, and Isthmus runs loaders on-prem only",
            *path,
            fix="Remove `ledger`, and run the loader yourself (docs/usage.md, Run a loader)",
        )
    store = audit_store_of(platform, gateway)
    if store is None or store.endpoint is None or store.bucket is None:
        raise FieldError(
            f"the records of gateway {gateway.name} have no store that its loader could read",
            *path,
            fix=f"Set `endpoint`, `bucket` and `address` of the audit store of {gateway.site}",
        )


def _check_own_access(_: Platform, path: Path, gateway: Gateway, ledger: UsageLedger) -> None:
    """The loader has neither the sealer's credentials nor the database user of the gateway."""
    if gateway.audit is not None and ledger.store_secret == gateway.audit.sealer_secret:
        raise FieldError(
            f"the loader of gateway {gateway.name} would get the sealer's Secret, which may write seals",
            *(*path, "store_secret"),
            fix="Name a Secret with credentials that may only read the store",
            refused=True,
        )
    users = {"gateway": gateway.database.user} if gateway.database is not None else {}
    users |= {"review service": gateway.reviews.user} if gateway.reviews is not None else {}
    for who, user in users.items():
        if ledger.user == user:
            raise FieldError(
                f"the loader and the {who} of gateway {gateway.name} have the same database user {user}",
                *(*path, "user"),
                fix="Set `user` to another user; `edge.keys migrate --usage-user` grants its rights",
                refused=True,
            )


def _check_class(platform: Platform, path: Path, gateway: Gateway, ledger: UsageLedger) -> None:
    """The ledger is where its class may be, and no other class has the ledger of class restricted."""
    check_within_class(
        platform,
        gateway,
        [(ledger.address, (*path, "address"), f"usage of class {gateway.class_} would go to")],
    )
    if gateway.class_ != "restricted":
        return
    for other in platform.gateways:
        theirs = ledger_of(other)
        if theirs is not None and other.class_ != "restricted" and _database(theirs) == _database(ledger):
            raise FieldError(
                f"class restricted and class {other.class_} have the same ledger {ledger.name} at {ledger.host}",
                *(*path, "name"),
                fix="Give class restricted a database of its own",
                refused=True,
            )


def _database(ledger: UsageLedger) -> tuple[str, int, str]:
    return ledger.address, ledger.port, ledger.name


def _check_settings(platform: Platform, path: Path, gateway: Gateway, _: UsageLedger) -> None:
    """The edge accepts the rest."""
    settings = loader_settings(platform, gateway)
    if settings is None:
        return  # the place is refused already
    try:
        LoaderConfig.model_validate({**settings, "health": _SPARE_HEALTH})
    except ValidationError as error:
        what, fix = what_and_fix(error.errors()[0]["msg"].removeprefix("Value error, "))
        raise FieldError(f"the loader of gateway {gateway.name}: {what}", *path, fix=fix) from None


CHECKS = (loaders_can_work,)
