"""The callers of a gateway: keys, allowances and the egress to the database."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

from components.gateway.translator.translator import address_egress
from edge.config.gateway import STOPS_FILE
from edge.interface_names import STORING
from isthmus.core.errors import InputError

_FOLDER = "/etc/isthmus/callers"


class GatewayAllowance(TypedDict):
    """Limits for a minute and for a calendar month (UTC), for all replicas of the gateway together."""

    requests_per_minute: NotRequired[int]
    """Requests per minute."""
    tokens_per_minute: NotRequired[int]
    """Tokens of prompts and answers per minute."""
    tokens_per_month: NotRequired[int]
    """Tokens of prompts and answers per month."""
    usd_per_month: NotRequired[float]
    """USD per month. Needs a price for every place that the workload reaches."""
    parallel_requests: NotRequired[int]
    """Requests at once. Without a database each copy of the gateway counts its own."""


class GatewayTeam(TypedDict):
    """The limits that the workloads of a team share, behind one gateway."""

    name: str
    """Name of the team, as in routes."""
    allowance: GatewayAllowance
    """The limits."""


class GatewayDatabase(TypedDict):
    """PostgreSQL with the digests of callers' keys and the usage counts."""

    host: str
    """Host name in its certificate."""
    address: str
    """Its IP address."""
    port: NotRequired[int]
    """Port (default 5432)."""
    name: NotRequired[str]
    """Name of the database (default isthmus)."""
    user: NotRequired[str]
    """Database user (default gateway; of `Reviews`: reviews)."""


def known_callers(
    database: GatewayDatabase | None, teams: list[GatewayTeam], routes: list[dict[str, Any]]
) -> dict[str, Any]:
    """The caller sections of the edge's configuration: the files of callers and stops, or the database; the workloads.

    `routes`: as `GatewayRoute`. Only workloads with settings of their own are listed.
    """
    # A file of stops may appear in the same Secret later, without a new configuration.
    config: dict[str, Any] = {"callers": f"{_FOLDER}/callers.yaml", "stops": f"{_FOLDER}/{STOPS_FILE}"}
    if database is not None:
        config = {
            "database": {
                "host": database["host"],
                "port": database.get("port", 5432),
                "name": database.get("name", "isthmus"),
                "user": database.get("user", "gateway"),
                "password": f"{_FOLDER}/password",
                "ca": f"{_FOLDER}/ca.crt",
            },
            "salt_key": f"{_FOLDER}/salt",
        }
    config |= _file_store(database, routes)
    workload_keys = (
        "team",
        "clients",
        "allowance",
        "people",
        "slo",
        "mode",
        "weight",
        "impact",
        "review",
        "webhook",
        "confidence",
    )
    if not teams and not any(key in route for route in routes for key in workload_keys):
        return config
    limits = {team["name"]: team["allowance"] for team in teams}
    team_names = sorted({*limits, *(route["team"] for route in routes if "team" in route)})
    config["teams"] = [
        {"name": team, **({"allowance": dict(limits[team])} if team in limits else {})} for team in team_names
    ]
    config["workloads"] = [
        {"name": route["workload"], **{key: route[key] for key in workload_keys if key in route}}
        for route in sorted(routes, key=lambda route: route["workload"])
    ]
    return config


def _file_store(database: GatewayDatabase | None, routes: list[dict[str, Any]]) -> dict[str, Any]:
    """Section `file_store`, if a route keeps requests or answers for its callers."""
    for route in routes:
        storing = sorted(STORING.intersection(route.get("interfaces", [])))
        if storing and database is None:
            raise InputError(
                f"the interface {storing[0]} of '{route['workload']}' needs a database",
                where=f"routes.{route['workload']}.interfaces",
                fix="Set `database`, or remove the interface",
            )
        if storing:
            return {"file_store": {"key": f"{_FOLDER}/transit"}}
    return {}


def database_egress(
    database: GatewayDatabase | None, sensitivity: str, site_cidrs: list[str], service: str
) -> list[dict[str, Any]]:
    """Egress to the database's address. For a restricted gateway it must be inside the site's networks."""
    if database is None:
        return []
    port = database.get("port", 5432)
    place = sensitivity, site_cidrs, service
    return address_egress("database", database["address"], port, *place, "database.address")


def with_host_aliases(hosts: Sequence[tuple[str, str]], names: dict[str, Any]) -> dict[str, Any]:
    """The pod's host aliases and those of `hosts`, by address and name. A certificate is checked against the name,
    whatever a resolver answers.
    """
    if not hosts:
        return names
    aliases = [{"ip": address, "hostnames": [host]} for address, host in hosts]
    return {**names, "hostAliases": [*names.get("hostAliases", []), *aliases]}
