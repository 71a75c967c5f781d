"""Rules of the sign-on: who may use which workload by token, and where gateways read the issuer's keys."""

from __future__ import annotations

import ipaddress

from isthmus.contracts.platform.lookups.sign_on import tokens_of
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.platform.rules.boundaries import site_networks
from isthmus.core.errors import FieldError


def users_can_be_served(platform: Platform) -> None:
    """Users' workloads exist, and their gateways can verify tokens."""
    people = platform.people
    if people is None:
        return
    gateway_of = {workload.name: gateway for gateway in platform.gateways for workload in gateway.workloads}
    for index, users in enumerate(people.users):
        for number, workload in enumerate(users.workloads):
            path = ("people", "users", index, "workloads", number)
            gateway = gateway_of.get(workload)
            if gateway is None:
                known = ", ".join(sorted(gateway_of)) or "none"
                message = f"users {users.name} may use `{workload}`, which no gateway serves"
                raise FieldError(message, *path, fix=f"Use one of: {known}")
            _check_gateway(gateway, workload, path)
    _check_through(platform)
    _check_address(platform)


def _check_gateway(gateway: Gateway, workload: str, path: tuple[str | int, ...]) -> None:
    if gateway.runs_on != "kubernetes":
        raise FieldError(
            f"people cannot use `{workload}` by token: gateway {gateway.name} runs on Fargate",
            *path,
            fix="Use a blueprint whose gateway runs in a cluster, such as cloud-private, or remove the workload here",
        )
    if gateway.audit is None:
        raise FieldError(
            f"people cannot use `{workload}` by token: gateway {gateway.name} has no records, which name them",
            *path,
            fix="Set `audit` of the gateway",
        )


def _check_through(platform: Platform) -> None:
    """Above class public, tokens come through a named certificate only."""
    assert platform.people is not None, "the caller looked"
    sign_on = platform.people.sign_on
    if sign_on is None or sign_on.through:
        return
    for gateway in platform.gateways:
        if gateway.class_ != "public" and tokens_of(platform, gateway) is not None:
            raise FieldError(
                f"tokens for gateway {gateway.name} come through no named certificate",
                *("people", "sign_on", "through"),
                fix="Name the certificates that may present tokens, such as that of your proxy",
            )


def _check_address(platform: Platform) -> None:
    """The issuer's keys are read on the sites' networks; those for a restricted gateway on-prem."""
    assert platform.people is not None, "the caller looked"
    sign_on = platform.people.sign_on
    if sign_on is None or sign_on.keys.address is None:
        return
    address = ipaddress.IPv4Address(sign_on.keys.address)
    restricted = any(
        gateway.class_ == "restricted" and tokens_of(platform, gateway) is not None
        for gateway in platform.gateways
    )
    networks = site_networks(platform, on_prem_only=restricted)
    if not any(address in network for network in networks):
        raise FieldError(
            f"the keys of the sign-on are read at {address}, which is outside the allowed networks",
            *("people", "sign_on", "keys", "address"),
            fix=f"Use an address within {', '.join(map(str, networks)) or 'a network of a site (none has one)'}, "
            "or a config_map",
            refused=True,
        )
