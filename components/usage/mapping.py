"""Builds the arguments of UsageLoader from the platform's contract."""

from __future__ import annotations

from typing import Any

from components.base.platform_lookups import shared_arguments
from components.usage.loader import UsageLoaderArgs
from isthmus.contracts.platform.lookups.records import audit_store_of
from isthmus.contracts.platform.lookups.usage import ledger_of, loader_settings
from isthmus.contracts.platform.model.platform import Gateway, Platform


def loader_args(platform: Platform, gateway: Gateway, site_cidrs: list[str]) -> UsageLoaderArgs | None:
    """Arguments of the loader of a gateway's usage ledger. None if it has none. `site_cidrs`: networks on-prem."""
    ledger, store = ledger_of(gateway), audit_store_of(platform, gateway)
    settings = loader_settings(platform, gateway)
    if ledger is None or store is None or settings is None:
        return None
    common_arguments = shared_arguments(platform, None)
    common_arguments.pop("issuer", None)
    arguments: dict[str, Any] = {
        **common_arguments,
        "sensitivity": gateway.class_,
        "image": platform.images.translator,
        "settings": settings,
        "ledger_address": ledger.address,
        "store_address": store.address,
        "secret": ledger.secret,
        "store_secret": ledger.store_secret,
        "site_cidrs": site_cidrs,
    }
    return arguments  # type: ignore[return-value]
