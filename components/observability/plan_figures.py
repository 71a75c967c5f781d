"""Recording rules with the plan's figures, and with how many copies answer: dashboards show one beside the other.

A figure of the plan is a constant. Prometheus keeps its history, so a graph shows when a new plan changed it.
"""

from __future__ import annotations

from collections.abc import Iterator

from components.cluster.objects import class_namespace
from components.observability.rules import Group, Record, job, number_up
from components.observability.service_levels import PERCENTILE
from edge.classes import CLASS_DEMANDS
from isthmus.contracts.platform.lookups.budgets import team_limits
from isthmus.contracts.platform.lookups.serving import scaled_endpoints
from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Platform, Site, Workload
from isthmus.contracts.vocabulary import VLLM_TARGETS

GATEWAY_COPIES, PLAN_GATEWAY_COPIES = "isthmus:gateway_copies", "isthmus:plan_gateway_copies"
"""Copies of a class's gateway: those that answer, and those planned."""
ENDPOINT_REPLICAS, PLAN_ENDPOINT_REPLICAS = "isthmus:endpoint_replicas", "isthmus:plan_endpoint_replicas"
"""Replicas of a model server (`endpoint`): those that answer, and those planned. Scaling by load adds to them."""
PLAN_ENDPOINT_REPLICAS_MAX = "isthmus:plan_endpoint_replicas_max"
"""The most replicas to which scaling by load goes."""
PLAN_ENDPOINT_GPUS = "isthmus:plan_endpoint_gpus"
"""GPUs of a model server (`endpoint`, `pool`), or slices, or shares."""
PLAN_ENDPOINT_USD = "isthmus:plan_endpoint_usd_per_hour"
"""What the GPUs of a model server (`endpoint`) cost, busy or idle, at the price that the platform states."""
PLAN_POOL_GPUS = "isthmus:plan_pool_gpus"
"""GPUs of a pool (`pool`) that the platform may use. Each class that uses the pool has the series."""
PLAN_WORKLOAD = "isthmus:plan_workload"
"""1 for each workload (`workload`, and `team` if it has one)."""
PLAN_GOAL, PLAN_GOAL_SECONDS = "isthmus:plan_goal", "isthmus:plan_goal_seconds"
"""A workload's goals (`workload`, `goal`): share of requests that keep it, and the time within which."""
PLAN_MONTH = "isthmus:plan_month_limit"
"""Limits for a month (`of`, `limited`, `unit`), with the labels of `isthmus_month_used_ratio`."""
PLAN_BUDGET = "isthmus:plan_aws_budget_usd"
"""Monthly budgets in AWS (`of`) for a class or a workload."""
PLAN_UNSEALED = "isthmus:plan_unsealed_seconds"
"""Age of the oldest record without a seal above which the gateway refuses requests."""


def plan_group(platform: Platform, site: Site, sensitivity: str, gateway: Gateway | None) -> Group:
    """The figures of a class at a site. `gateway`: of the class in the site's cluster."""
    namespace, scaled = class_namespace(sensitivity), scaled_endpoints(platform)
    records: list[Record] = []
    for endpoint in platform.endpoints:
        if (endpoint.class_, endpoint.site) == (sensitivity, site.name) and endpoint.target in VLLM_TARGETS:
            scaling = scaled.get(endpoint.id)
            low = scaling.min_replicas if scaling is not None else endpoint.replicas
            high = scaling.max_replicas if scaling is not None else endpoint.replicas
            records += _endpoint_records(namespace, endpoint, low, high)
    for pool in platform.pools:
        if pool.site == site.name and sensitivity in pool_classes(platform, pool.name):
            gpus = pool.nodes * pool.gpus_per_node - pool.reserved_gpus
            records.append(_constant(PLAN_POOL_GPUS, gpus, pool=pool.name))
    if gateway is not None:
        records += _gateway_records(platform, namespace, gateway)
    return Group("plan", records)


def pool_classes(platform: Platform, pool: str) -> list[str]:
    """Classes with model servers on a pool."""
    return sorted({endpoint.class_ for endpoint in platform.endpoints if endpoint.pool == pool})


def has_pools(platform: Platform, site: Site) -> bool:
    """Whether a model server of a site has GPUs of a pool there."""
    return any(pool.site == site.name and pool_classes(platform, pool.name) for pool in platform.pools)


def _constant(name: str, value: float, **labels: str) -> Record:
    return Record(name, f"vector({value:.12g})", labels)


def _endpoint_records(namespace: str, endpoint: Endpoint, low: int, high: int) -> Iterator[Record]:
    labels = {"endpoint": endpoint.id}
    yield Record(ENDPOINT_REPLICAS, number_up(job(namespace, endpoint.id)), labels)
    yield _constant(PLAN_ENDPOINT_REPLICAS, low, **labels)
    yield _constant(PLAN_ENDPOINT_REPLICAS_MAX, high, **labels)
    if endpoint.pool is None:
        return
    yield _constant(PLAN_ENDPOINT_GPUS, endpoint.gpus, pool=endpoint.pool, **labels)
    price = endpoint.cost.usd_per_gpu_hour if endpoint.cost is not None else None
    if price is not None:
        yield _constant(PLAN_ENDPOINT_USD, endpoint.gpus * price, **labels)


def _gateway_records(platform: Platform, namespace: str, gateway: Gateway) -> Iterator[Record]:
    yield Record(GATEWAY_COPIES, number_up(job(namespace, f"{gateway.class_}-gateway")))
    yield _constant(PLAN_GATEWAY_COPIES, gateway.replicas)
    if gateway.audit is not None:
        most = gateway.audit.max_unsealed_s or CLASS_DEMANDS[gateway.class_].unsealed_s_max
        if most is not None:
            yield _constant(PLAN_UNSEALED, most)
    for workload in gateway.workloads:
        team = {"team": workload.team} if workload.team is not None else {}
        yield _constant(PLAN_WORKLOAD, 1, workload=workload.name, **team)
        yield from _goal_records(workload)
    limited = [("workload", workload.name, workload.allowance) for workload in gateway.workloads]
    limited += [("team", team.name, team.allowance) for team in team_limits(platform, gateway)]
    for of, name, allowance in limited:
        for unit, most in (("tokens", allowance.tokens_per_month), ("usd", allowance.usd_per_month)):
            if most is not None:
                yield _constant(PLAN_MONTH, most, of=of, limited=name, unit=unit)
    for name in (gateway.class_, *(workload.name for workload in gateway.workloads)):
        budgets = [
            budget.monthly_usd
            for budget in platform.budgets
            if budget.scope != "platform" and budget.of == name
        ]
        if budgets:
            yield _constant(PLAN_BUDGET, sum(budgets), of=name)


def _goal_records(workload: Workload) -> Iterator[Record]:
    slo = workload.slo
    if slo is None:
        return
    if slo.availability is not None:
        yield _constant(PLAN_GOAL, slo.availability, workload=workload.name, goal="availability")
    for goal, milliseconds in (
        ("first-token", slo.ttft_p95_ms),
        ("next-token", slo.tpot_p95_ms),
        ("answer", slo.answer_p95_ms),
    ):
        if milliseconds is not None:
            labels = {"workload": workload.name, "goal": goal}
            yield _constant(PLAN_GOAL, PERCENTILE, **labels)
            yield _constant(PLAN_GOAL_SECONDS, milliseconds / 1000, **labels)
