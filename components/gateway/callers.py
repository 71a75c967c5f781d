"""Who calls a gateway and what each may use: what its configuration says of that, and the way to the database."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

from components.base.argument_checks import within
from components.gateway.translator.translator import ways_out

_FOLDER = "/etc/isthmus/callers"


class GatewayAllowance(TypedDict):
    """What may be used in a minute and in a calendar month, UTC, by all copies of the gateway together."""

    requests_per_minute: NotRequired[int]
    """Requests of a minute."""
    tokens_per_minute: NotRequired[int]
    """Tokens of prompts and answers, in a minute."""
    tokens_per_month: NotRequired[int]
    """Tokens of prompts and answers, in a month."""
    usd_per_month: NotRequired[float]
    """USD in a month; wants a price at every place that the workload reaches."""


class GatewayTeam(TypedDict):
    """What a team's workloads behind one gateway may use together."""

    name: str
    """The team, as routes name it."""
    allowance: GatewayAllowance
    """What it may use."""


class GatewayDatabase(TypedDict):
    """PostgreSQL with the digests of callers' keys and what they used."""

    host: str
    """The name that its certificate bears."""
    address: str
    """By which it is reached."""
    port: NotRequired[int]
    """5432 when absent."""
    name: NotRequired[str]
    """Of the database (default isthmus)."""
    user: NotRequired[str]
    """As whom it is asked (default gateway; by `Reviews`: reviews)."""


def known_callers(
    database: GatewayDatabase | None, teams: list[GatewayTeam], routes: list[dict[str, Any]]
) -> dict[str, Any]:
    """Of the edge's configuration: the file of keys, or the database; and whose each workload is.

    `routes`: as `GatewayRoute`. Workloads are listed where anything is said of one.
    """
    made: dict[str, Any] = {"callers": f"{_FOLDER}/callers.yaml"}
    if database is not None:
        made = {
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
    said = ("team", "clients", "allowance", "impact", "review", "confidence")
    if not teams and not any(key in route for route in routes for key in said):
        return made
    limits = {team["name"]: team["allowance"] for team in teams}
    named = sorted({*limits, *(route["team"] for route in routes if "team" in route)})
    made["teams"] = [
        {"name": team, **({"allowance": dict(limits[team])} if team in limits else {})} for team in named
    ]
    made["workloads"] = [
        {"name": route["workload"], **{key: route[key] for key in said if key in route}}
        for route in sorted(routes, key=lambda route: route["workload"])
    ]
    return made


def way_to(
    database: GatewayDatabase | None, held: str, site_cidrs: list[str], service: str
) -> list[dict[str, Any]]:
    """Egress to the database, by its address alone; of a restricted gateway within the site's networks."""
    if database is None:
        return []
    cidr = f"{database['address']}/32"
    if held == "restricted":
        within(cidr, site_cidrs, f"{service}.database.address")
    return ways_out([{"name": "database", "cidr": cidr, "port": database.get("port", 5432)}], service)


def by_address(known: Sequence[tuple[str, str]], names: dict[str, Any]) -> dict[str, Any]:
    """A pod's names, with those of others by address and name: a certificate is held to the name, whatever a
    resolver says."""
    if not known:
        return names
    more = [{"ip": address, "hostnames": [host]} for address, host in known]
    return {**names, "hostAliases": [*names.get("hostAliases", []), *more]}
