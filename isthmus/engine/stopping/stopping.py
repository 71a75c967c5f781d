"""Finds the gateways of a workload, and acts at all of them side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.config.gateway import STOPS_FILE
from isthmus.contracts.reference.admission import class_namespace
from isthmus.core.errors import EnvironmentFault, InputError, IsthmusError, Refused
from isthmus.core.kubernetes_client import KubeClient
from isthmus.core.validation_errors import nearest
from isthmus.engine.project import pins
from isthmus.engine.stopping.ways import Act, DatabaseWay, DeskWay, Done, FileWay, NoWay, SecretWay, Way
from isthmus.graph.network.reachability import CLASS

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Gateway, Platform
    from isthmus.engine.project.project import Stack
    from isthmus.engine.stopping.access import Access


@dataclass(frozen=True)
class AtGateway:
    """What came of the act at one gateway."""

    data_class: str
    site: str
    way: str
    """`reviews`, `database`, `file` or `secret`; empty: there is none."""
    done: Done | None
    error: IsthmusError | None
    """Why nothing was done."""


def gateways_of(platform: Platform, workload: str) -> list[Gateway]:
    """The gateways that serve a workload. Raises `InputError` if none does."""
    gateways = [
        gateway for gateway in platform.gateways if workload in (entry.name for entry in gateway.workloads)
    ]
    if not gateways:
        names = sorted({entry.name for gateway in platform.gateways for entry in gateway.workloads})
        near = nearest(workload, names)
        raise InputError(
            f"no gateway of the stack serves a workload `{workload}`",
            where="WORKLOAD",
            fix=f"{f'Did you mean `{near}`? ' if near else ''}Choose one of: {', '.join(names)}",
        )
    return gateways


def act_everywhere(stack: Stack, platform: Platform, act: Act, access: Access) -> list[AtGateway]:
    """Act at every gateway of the workload. One that fails does not keep the others from it. Raises `InputError`."""
    gateways = gateways_of(platform, act.workload)

    def at(gateway: Gateway) -> AtGateway:
        place = gateway.class_, gateway.site
        name = ""
        try:
            way = _way(stack, platform, gateway, access)
            name = "" if isinstance(way, NoWay) else way.name
            return AtGateway(*place, name, way.do(act), None)
        except IsthmusError as error:
            return AtGateway(*place, name, None, error)

    with ThreadPoolExecutor(len(gateways)) as pool:
        return list(pool.map(at, gateways))


def _way(stack: Stack, platform: Platform, gateway: Gateway, access: Access) -> Way:
    """How to stop a workload at a gateway. Raises `EnvironmentFault`."""
    place = gateway.class_, gateway.site
    if gateway.runs_on == "fargate":
        return NoWay(_on_fargate(gateway))
    if gateway.database is not None:
        if place in access.desks:
            return DeskWay(access.desks[place], *place)
        if place in access.databases:
            return DatabaseWay(access.databases[place], *place)
        return NoWay(_no_access(stack, gateway))
    if place in access.files:
        return FileWay(access.files[place], access.person)
    if stack.sandbox:
        return NoWay(_no_access(stack, gateway))
    selector = f"isthmus.dev/role=gateway,{CLASS}={gateway.class_}"
    cluster, namespace = _cluster(stack, platform, gateway.site), class_namespace(gateway.class_)
    return SecretWay(cluster, namespace, gateway.callers_secret, STOPS_FILE, selector)


def _cluster(stack: Stack, platform: Platform, site_name: str) -> KubeClient:
    site = next(site for site in platform.sites if site.name == site_name)
    environment = {**os.environ, "KUBECONFIG": stack.kubeconfig} if stack.kubeconfig else None
    cluster = KubeClient.of_context(site.kube_context or site.name, environment)
    pins.check_clusters(platform, {site.name: cluster})
    return cluster


def _on_fargate(gateway: Gateway) -> IsthmusError:
    return Refused(
        "a gateway on Fargate reads no stops",
        where=f"{gateway.class_} at {gateway.site}",
        fix="Remove the workload's keys from its secret of callers and force a new deployment of its ECS service, or"
        " set the service's desired count to 0, which stops all of its workloads (docs/stop.md)",
    )


def _no_access(stack: Stack, gateway: Gateway) -> IsthmusError:
    if stack.sandbox:
        return EnvironmentFault(
            "the gateway does not run here",
            where=f"{gateway.class_} at {gateway.site}",
            fix=f"Run `isthmus sandbox serve {stack.name}` first",
        )
    return InputError(
        "nothing says how you reach its review service or its database",
        where=f"{gateway.class_} at {gateway.site}",
        fix="Name a file with --access (docs/stop.md)",
    )


def joined(results: Sequence[AtGateway]) -> IsthmusError | None:
    """The error of all gateways at which nothing was done, or None."""
    from isthmus.core.errors import join

    errors = [result.error for result in results if result.error is not None]
    for result in results:
        if result.done is not None and result.done.refusing == []:
            errors.append(
                EnvironmentFault(
                    "the stop is stored, but no copy of the gateway has confirmed it",
                    where=f"{result.data_class} at {result.site}",
                    fix="Check that its pods run and reach the database. They serve nobody without it",
                )
            )
    return join(errors) if errors else None
