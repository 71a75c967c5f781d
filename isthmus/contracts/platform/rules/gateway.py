"""Rules for costs, equivalent endpoints (`also`) and traces of gateways."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from edge.interface_names import GENERATING, OF_MODEL_SERVERS, STORING
from isthmus.contracts.platform.lookups.budgets import team_limits
from isthmus.contracts.platform.rules.serving import mismatch
from isthmus.contracts.vocabulary import CALLED_TARGETS
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


def costs_match_targets(platform: Platform) -> None:
    """GPU prices are for model servers with GPUs. Called endpoints have a price by the token, with source and day."""
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.cost is None:
            continue
        path = ("endpoints", index, "cost")
        if endpoint.cost.usd_per_gpu_hour is not None and (
            endpoint.target in CALLED_TARGETS or endpoint.engine == "cpu"
        ):
            message = f"endpoint {endpoint.id} has a price per GPU hour, but no GPUs of a pool"
            fix = "Set `usd_per_million_tokens` instead"
            raise FieldError(message, *path, "usd_per_gpu_hour", fix=fix)
        for key in ("source", "as_of"):
            if endpoint.target in CALLED_TARGETS and getattr(endpoint.cost, key) is None:
                raise FieldError(
                    f"the price of endpoint {endpoint.id} has no `{key}`, but AWS changes prices",
                    *path,
                    fix=f"Add `{key}`, or remove `cost`: then the price of the plan holds",
                )


def usd_budgets_have_prices(platform: Platform) -> None:
    """A budget in USD needs prices for all endpoints of the workload."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        limits = team_limits(platform, gateway)
        limited = {team.name for team in limits if team.allowance.usd_per_month is not None}
        for number, workload in enumerate(gateway.workloads):
            budgets = (workload.allowance.usd_per_month, workload.people.usd_per_month)
            if budgets == (None, None) and workload.team not in limited:
                continue
            for name in workload.reaches:
                if endpoints[name].cost is None:
                    raise FieldError(
                        f"workload {workload.name} has a budget in USD, but its endpoint {name} has no price",
                        *("gateways", index, "workloads", number, "allowance"),
                        fix=f"Set `cost` of endpoint {name}, or limit tokens instead of USD",
                    )


def equivalent_endpoints_match(platform: Platform) -> None:
    """Endpoints under `also` are other model servers of the gateway's site for the same task."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        for number, workload in enumerate(gateway.workloads):
            primary, names = endpoints[workload.endpoint], {workload.endpoint}
            for place, name in enumerate(workload.also):
                path, equivalent = ("gateways", index, "workloads", number, "also", place), endpoints[name]
                if name in names:
                    raise FieldError(
                        f"workload {workload.name} lists endpoint {name} twice",
                        *path,
                        fix="Remove one of them",
                    )
                names.add(name)
                if gateway.router is not None:
                    message = f"workload {workload.name} has several endpoints, but a router supports one"
                    raise FieldError(message, *path, fix="Remove `router` of the gateway, or remove `also`")
                if why := mismatch(gateway, workload, primary, equivalent):
                    raise FieldError(
                        f"endpoint {name} cannot serve workload {workload.name} in place of {primary.id}: {why}",
                        *path,
                        fix="Remove it from `also`, or use a matching endpoint",
                    )


def interfaces_match_endpoints(platform: Platform) -> None:
    """Interfaces that generate text need a chat model, some need a model server, and some a database."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        for number, workload in enumerate(gateway.workloads):
            endpoint = endpoints[workload.endpoint]
            for place, interface in enumerate(workload.interfaces):
                path = ("gateways", index, "workloads", number, "interfaces", place)
                if interface in OF_MODEL_SERVERS and endpoint.target in CALLED_TARGETS:
                    raise FieldError(
                        f"workload {workload.name} has the interface {interface}, but the translator to "
                        f"{endpoint.target} has none",
                        *path,
                        fix=f"Remove {interface}, or allow only models that you serve on GPUs",
                    )
                if interface in STORING and gateway.database is None:
                    raise FieldError(
                        f"workload {workload.name} has the interface {interface}, but gateway {gateway.name} has no "
                        "database where requests and answers are kept",
                        *path,
                        fix=f"Set `database` of a gateway in a cluster, or remove {interface}",
                    )
                if interface in GENERATING and endpoint.task != "chat":
                    raise FieldError(
                        f"workload {workload.name} has the interface {interface}, but {endpoint.id} serves the task "
                        f"{endpoint.task}",
                        *path,
                        fix=f"Remove {interface}",
                    )


def traces_stay_on_site_networks(platform: Platform) -> None:
    """Trace collectors are on the sites' networks; for restricted gateways on-prem."""
    for index, gateway in enumerate(platform.gateways):
        if gateway.traces is None:
            continue
        path = ("gateways", index, "traces")
        if gateway.runs_on != "kubernetes":
            message = f"gateway {gateway.name} runs on Fargate, which does not support `traces`"
            raise FieldError(message, *path, fix="Remove `traces`")
        kinds = ("on-prem",) if gateway.class_ == "restricted" else ("on-prem", "aws")
        networks = [
            ipaddress.ip_network(cidr) for site in platform.sites if site.kind in kinds for cidr in site.cidrs
        ]
        try:
            address = ipaddress.IPv4Address(gateway.traces.address)
        except ValueError:
            raise FieldError(f"`{gateway.traces.address}` is not an address", *path, "address") from None
        if not any(address in network for network in networks):
            raise FieldError(
                f"the trace collector of the {gateway.class_} gateway, {address}, is outside the allowed networks",
                *(*path, "address"),
                fix=f"Use an address within {', '.join(map(str, networks)) or 'a network of a site (none has one)'}",
                refused=True,
            )


CHECKS = (
    costs_match_targets,
    usd_budgets_have_prices,
    equivalent_endpoints_match,
    interfaces_match_endpoints,
    traces_stay_on_site_networks,
)


def check_gateway_callers(platform: Platform) -> None:
    """Limits need a database, a client certificate belongs to one workload, and public callers have none."""
    for index, gateway in enumerate(platform.gateways):
        path = ("gateways", index)
        limited = [
            workload.name
            for workload in gateway.workloads
            if workload.allowance.is_counted or workload.people.is_counted
        ]
        limited += [
            team.name
            for team in gateway.teams
            if team.allowance.is_counted or team.allowance.parallel_requests is None
        ]
        if limited and gateway.database is None:
            message = f"gateway {gateway.name} has limits for {limited[0]}, but no database that counts them"
            raise FieldError(
                message,
                *path,
                "database",
                fix="Set `database` to a PostgreSQL database, or remove the limits",
            )
        if gateway.database is not None and gateway.runs_on != "kubernetes":
            message = f"gateway {gateway.name} runs on Fargate, which does not support `database`"
            raise FieldError(
                message, *path, "database", fix="Remove `database`: on Fargate the keys are in callers_secret"
            )
        teams = {workload.team for workload in gateway.workloads}
        for number, team in enumerate(gateway.teams):
            if team.name not in teams:
                message = (
                    f"gateway {gateway.name} has limits for team {team.name}, but no workload of that team"
                )
                raise FieldError(
                    message,
                    *path,
                    "teams",
                    number,
                    "name",
                    fix="Set `team` of a workload, or remove the team here",
                )
        clients: dict[str, str] = {}
        for number, workload in enumerate(gateway.workloads):
            for name in workload.clients:
                where = (*path, "workloads", number, "clients")
                if gateway.class_ == "public" or gateway.runs_on != "kubernetes":
                    message = f"gateway {gateway.name} does not ask callers for client certificates"
                    raise FieldError(message, *where, fix="Remove `clients`, and give the callers keys")
                if clients.setdefault(name, workload.name) != workload.name:
                    message = (
                        f"client {name} is listed for two workloads, {clients[name]} and {workload.name}"
                    )
                    raise FieldError(message, *where, fix="List each client for one workload only")
