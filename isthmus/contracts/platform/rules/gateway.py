"""What must hold of costs, further places and traces. Rules of `platform_checks`."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from isthmus.contracts.platform.model.callers import Allowance
from isthmus.contracts.platform.rules.serving import unlike
from isthmus.contracts.vocabulary import CALLED_TARGETS
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


def costs_fit_targets(platform: Platform) -> None:
    """By the GPU where we have GPUs, by the token where a provider counts them."""
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.cost is None:
            continue
        path = ("endpoints", index, "cost")
        if endpoint.cost.usd_per_gpu_hour is not None and (
            endpoint.target in CALLED_TARGETS or endpoint.engine == "cpu"
        ):
            what = f"endpoint {endpoint.id} has no GPUs of ours to count"
            raise FieldError(what, *path, "usd_per_gpu_hour", fix="Say `usd_per_million_tokens`")


def budgets_in_usd_are_priced(platform: Platform) -> None:
    """What nobody prices would never use up a budget in USD."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        limited = {team.name for team in gateway.teams if team.allowance.usd_per_month is not None}
        for number, workload in enumerate(gateway.workloads):
            if workload.allowance.usd_per_month is None and workload.team not in limited:
                continue
            for name in workload.reaches:
                if endpoints[name].cost is None:
                    raise FieldError(
                        f"{workload.name} has a budget in USD, and its endpoint {name} has no price",
                        *("gateways", index, "workloads", number, "allowance"),
                        fix=f"State `cost` of endpoint {name}, or limit tokens",
                    )


def others_are_as_good(platform: Platform) -> None:
    """Further places of a workload are other model servers of its gateway's site that do the same task."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        for number, workload in enumerate(gateway.workloads):
            first, seen = endpoints[workload.endpoint], {workload.endpoint}
            for place, name in enumerate(workload.also):
                path, other = ("gateways", index, "workloads", number, "also", place), endpoints[name]
                if name in seen:
                    raise FieldError(
                        f"{workload.name} names endpoint {name} twice", *path, fix="Name it once"
                    )
                seen.add(name)
                if gateway.router is not None:
                    what = f"a router chooses among the replicas of one endpoint, and {workload.name} has several"
                    raise FieldError(what, *path, fix="Leave the router out, or `also`")
                if why := unlike(gateway, workload, first, other):
                    raise FieldError(f"{name} cannot serve {workload.name} as {first.id} does: {why}", *path)


def traces_stay_on_the_sites(platform: Platform) -> None:
    """Who called what and when goes to the sites' own networks only, of restricted work on-prem only."""
    for index, gateway in enumerate(platform.gateways):
        if gateway.traces is None:
            continue
        path = ("gateways", index, "traces")
        if gateway.runs_on != "kubernetes":
            what = f"gateway {gateway.name} runs on Fargate, where traces are not built for"
            raise FieldError(what, *path, fix="Leave it out")
        kinds = ("on-prem",) if gateway.class_ == "restricted" else ("on-prem", "aws")
        own = [
            ipaddress.ip_network(cidr) for site in platform.sites if site.kind in kinds for cidr in site.cidrs
        ]
        try:
            address = ipaddress.IPv4Address(gateway.traces.address)
        except ValueError:
            raise FieldError(f"`{gateway.traces.address}` is not an address", *path, "address") from None
        if not any(address in network for network in own):
            raise FieldError(
                f"the collector of the {gateway.class_} gateway lies outside the sites' own networks",
                *(*path, "address"),
                fix=f"Name one within {', '.join(map(str, own)) or 'none'}",
                refused=True,
            )


CHECKS = (costs_fit_targets, budgets_in_usd_are_priced, others_are_as_good, traces_stay_on_the_sites)


def limits_have_where_to_be_counted(platform: Platform) -> None:
    """What is limited is counted in a database; a client speaks for one workload, and public ones show none."""
    for index, gateway in enumerate(platform.gateways):
        path = ("gateways", index)
        limited = [each.name for each in gateway.workloads if each.allowance != Allowance()]
        limited += [team.name for team in gateway.teams]
        if limited and gateway.database is None:
            what = f"gateway {gateway.name} limits {limited[0]} and has no database"
            raise FieldError(
                what,
                *path,
                "database",
                fix="Name the PostgreSQL in which its copies count, or limit nothing",
            )
        if gateway.database is not None and gateway.runs_on != "kubernetes":
            what = f"gateway {gateway.name} runs on Fargate, where a database is not built for"
            raise FieldError(what, *path, "database", fix="Leave it out: keys are in callers_secret there")
        own = {workload.team for workload in gateway.workloads}
        for number, team in enumerate(gateway.teams):
            if team.name not in own:
                what = f"no workload of gateway {gateway.name} is of team {team.name}"
                raise FieldError(
                    what,
                    *path,
                    "teams",
                    number,
                    "name",
                    fix="Name it as `team` of a workload, or leave it out",
                )
        spoken: dict[str, str] = {}
        for number, workload in enumerate(gateway.workloads):
            for name in workload.clients:
                where = (*path, "workloads", number, "clients")
                if gateway.class_ == "public" or gateway.runs_on != "kubernetes":
                    what = f"callers of {gateway.name} are not asked for a certificate of their own"
                    raise FieldError(what, *where, fix="Leave clients out there: give keys")
                if spoken.setdefault(name, workload.name) != workload.name:
                    what = f"{name} would speak for {spoken[name]} and for {workload.name}"
                    raise FieldError(what, *where, fix="Let each client speak for one workload")
