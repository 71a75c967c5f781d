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
    _check_secrets(platform)
    if people is None:
        return
    if (
        people.sign_on is not None
        and not people.users
        and not any(gateway.desk for gateway in platform.gateways)
    ):
        raise FieldError(
            "nobody uses the sign-on",
            *("people", "sign_on"),
            fix="Add `people.users` or a gateway's `reviews.desk`, or remove `sign_on`",
        )
    gateway_of = {workload.name: gateway for gateway in platform.gateways for workload in gateway.workloads}
    for kind, entries in (("users", people.users), ("owners", people.owners), ("help", people.help)):
        for index, entry in enumerate(entries):
            for number, workload in enumerate(entry.workloads):
                path = ("people", kind, index, "workloads", number)
                gateway = gateway_of.get(workload)
                if gateway is None:
                    known = ", ".join(sorted(gateway_of)) or "none"
                    message = f"{kind} {entry.name} has workload `{workload}`, which no gateway serves"
                    raise FieldError(message, *path, fix=f"Use one of: {known}")
                if kind == "users":
                    _check_gateway(gateway, workload, path)
    _check_through(platform)
    _check_address(platform)


def _check_gateway(gateway: Gateway, workload: str, path: tuple[str | int, ...]) -> None:
    if gateway.fargate is not None and gateway.fargate.sign_on_secret is None:
        raise FieldError(
            f"people cannot use `{workload}` by token: gateway {gateway.name} on Fargate does not know the keys of the "
            "sign-on",
            *path,
            fix="Set `fargate.sign_on_secret` of the gateway: a secret whose text is the issuer's JWKS",
        )
    if gateway.audit is None:
        raise FieldError(
            f"people cannot use `{workload}` by token: gateway {gateway.name} has no records, which name them",
            *path,
            fix="Set `audit` of the gateway",
        )


def _check_secrets(platform: Platform) -> None:
    """A gateway on Fargate has the sign-on's keys only if somebody uses it by token."""
    for index, gateway in enumerate(platform.gateways):
        secret = gateway.fargate.sign_on_secret if gateway.fargate is not None else None
        if secret is not None and tokens_of(platform, gateway) is None:
            raise FieldError(
                f"gateway {gateway.name} has the keys of the sign-on, but nobody uses its workloads by token",
                *("gateways", index, "fargate", "sign_on_secret"),
                fix="Remove it, or state `people.sign_on` and `people.users` with a workload of this gateway",
            )


def _check_through(platform: Platform) -> None:
    """Above class public, tokens come through a named certificate only."""
    for gateway in platform.gateways:
        tokens = tokens_of(platform, gateway)
        if gateway.class_ != "public" and tokens is not None and not tokens["through"]:
            raise FieldError(
                f"tokens for gateway {gateway.name} come through no named certificate",
                *("people", "sign_on", "through"),
                fix="State a `chat` of the gateway, or name the certificates that may present tokens, such as your "
                "proxy's",
            )


def _check_address(platform: Platform) -> None:
    """The issuer's keys are read on the sites' networks; those for a restricted gateway on-prem."""
    assert platform.people is not None, "the caller looked"
    sign_on = platform.people.sign_on
    in_clusters = [
        gateway
        for gateway in platform.gateways
        if gateway.runs_on == "kubernetes" and tokens_of(platform, gateway) is not None
    ]
    if sign_on is not None and sign_on.keys is None and in_clusters:
        raise FieldError(
            f"gateway {in_clusters[0].name} does not know the keys of the sign-on",
            *("people", "sign_on", "keys"),
            fix="State `keys`: either `url` and `address`, or `config_map`",
        )
    if sign_on is None or sign_on.keys is None or sign_on.keys.address is None or not in_clusters:
        return
    address = ipaddress.IPv4Address(sign_on.keys.address)
    restricted = any(gateway.class_ == "restricted" for gateway in in_clusters)
    networks = site_networks(platform, on_prem_only=restricted)
    if not any(address in network for network in networks):
        raise FieldError(
            f"the keys of the sign-on are read at {address}, which is outside the allowed networks",
            *("people", "sign_on", "keys", "address"),
            fix=f"Use an address within {', '.join(map(str, networks)) or 'a network of a site (none has one)'}, "
            "or a config_map",
            refused=True,
        )
