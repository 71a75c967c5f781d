"""What follows from the usage ledger of a gateway: the settings of its loader, and what the loader reaches."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.platform.lookups.records import audit_store_of, endpoint_port, seal_prefix
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.platform.model.usage import UsageLedger
from isthmus.contracts.reference import handling

LEDGER_FOLDER, STORE_FOLDER = "/etc/isthmus/ledger", "/etc/isthmus/store"
"""Where the loader sees its Secrets: that of the database, and that of the store."""
STORE_REGION = "us-east-1"
"""Region with which requests to a store on-prem are signed, as by its sealer."""


def ledger_of(gateway: Gateway) -> UsageLedger | None:
    """The usage ledger of a gateway; None if it has none."""
    return gateway.usage.ledger if gateway.usage is not None else None


def named_workloads(gateway: Gateway) -> list[str]:
    """Workloads whose people have a pseudonym in the ledger: all or none, as class and handling allow."""
    if gateway.usage is None or not gateway.usage.by_person:
        return []
    allowed = handling.handling_of(gateway.class_).usage_by_person
    return sorted(workload.name for workload in gateway.workloads) if allowed else []


def loader_places(platform: Platform, gateway: Gateway) -> set[tuple[str, int]]:
    """Address and port of what a gateway's loader reaches: the ledger, and the store of the records."""
    ledger, store = ledger_of(gateway), audit_store_of(platform, gateway)
    if ledger is None:
        return set()
    places = {(ledger.address, ledger.port)}
    if store is not None and store.address is not None and store.endpoint is not None:
        places.add((store.address, endpoint_port(store.endpoint)))
    return places


def loader_settings(platform: Platform, gateway: Gateway) -> dict[str, Any] | None:
    """The loader's configuration without `health`; None if the gateway has no ledger, or no store on-prem."""
    ledger, store = ledger_of(gateway), audit_store_of(platform, gateway)
    if ledger is None or store is None or store.endpoint is None or store.bucket is None:
        return None
    return {
        "mode": "loader",
        "class": gateway.class_,
        "site": gateway.site,
        "database": {
            "host": ledger.host,
            "port": ledger.port,
            "name": ledger.name,
            "user": ledger.user,
            "password": f"{LEDGER_FOLDER}/password",
            "ca": f"{LEDGER_FOLDER}/ca.crt",
        },
        "store": {
            "endpoint": store.endpoint,
            "region": STORE_REGION,
            "bucket": store.bucket,
            "prefix": seal_prefix(gateway),
            "credentials": f"{STORE_FOLDER}/credentials",
            "ca": f"{STORE_FOLDER}/ca.crt",
        },
        "public_key": f"{STORE_FOLDER}/sealer.pem",
        "named_workloads": named_workloads(gateway),
        "since": ledger.since,
    }
