"""Builds the arguments of a Network from the platform's contract."""

from __future__ import annotations

from typing import Any

from components.aws.network.dns_names import needed_names
from components.aws.network.network import NetworkArgs
from components.base.platform_lookups import boundary_argument, key_argument, region_at, tags
from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.platform import Platform


def network_args(platform: Platform, network: Network) -> NetworkArgs:
    fields = network.model_dump(include={"name", "mode", "zones", "subnets", "route_tables", "internet"})
    arguments: dict[str, Any] = {
        **fields,
        "region": region_at(platform, network.site),
        "flow_log_days": network.flow_log_days,
        "dns_mode": network.dns_mode,
        "tags": tags(platform),
        **boundary_argument(platform.site(network.site)),
        **key_argument(platform.site(network.site)),
    }
    if network.dns_mode == "manage":
        arguments["dns_names"] = needed_names(platform, network)
        arguments["query_log_days"] = network.dns_firewall.query_log_days or network.flow_log_days
    for key in ("cidr", "vpc"):
        if getattr(network, key):
            arguments[key] = getattr(network, key)
    return arguments  # type: ignore[return-value]
