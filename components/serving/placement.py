"""Spreads the replicas of an endpoint so that it survives the failures that it must."""

import math
from typing import Any

from components.cluster.objects import ENDPOINT_LABEL, GROUP_LABEL, MEMBER_LABEL, REVISION_LABEL, ROLE_LABEL

ZONE = "topology.kubernetes.io/zone"
HOST = "kubernetes.io/hostname"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NEIGHBOURS: dict[str, Any] = {
    "labelSelector": {"matchExpressions": [{"key": ENDPOINT_LABEL, "operator": "Exists"}]}
    | {"matchLabels": {ROLE_LABEL: "model"}},
    "namespaceSelector": {},
    "topologyKey": HOST,
}
"""Prefer nodes that already run a model, so that whole nodes stay free for models with many GPUs."""


def constraint(
    key: str,
    selector: dict[str, str],
    *,
    hard: bool,
    domains: int | None = None,
    per_rollout: bool = False,
    rollout: str = "pod-template-hash",
    max_skew: int = 1,
) -> dict[str, Any]:
    """A topology spread constraint. `domains`: minimum number of domains with a pod (only with `hard`).

    `per_rollout`: pods of another rollout, which have another label `rollout`, do not count.
    """
    fields: dict[str, Any] = {
        "maxSkew": max_skew,
        "topologyKey": key,
        "whenUnsatisfiable": "DoNotSchedule" if hard else "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector},
        # Nodes that would not accept the pod do not count as places.
        "nodeAffinityPolicy": "Honor",
        "nodeTaintsPolicy": "Honor",
    }
    if domains is not None and hard:
        fields["minDomains"] = domains
    if per_rollout:
        fields["matchLabelKeys"] = [rollout]
    return fields


def placement(
    survive: str,
    selector: dict[str, str],
    *,
    replicas: int,
    failure_domains: int,
    surge: bool,
    max_skew: int = 1,
    domain: str = ZONE,
) -> dict[str, Any]:
    """Pod fields that spread replicas as `survive` requires, or fill a node if it requires nothing.

    `domain`: key of the node label of failure domains. `max_skew`: maximum difference in replicas between places,
    if the places differ in capacity.

    A rollout without surge frees a place before it fills one, so old and new pods are counted together, and the
    freed place restores the balance. Counting only new pods (`matchLabelKeys`) works with surge only: in a full
    pool it can require a node without free GPUs for ever.
    """
    if survive == "domain":
        min_domains = max(1, min(replicas, failure_domains))
        return {
            "topologySpreadConstraints": [
                constraint(
                    domain, selector, hard=True, domains=min_domains, per_rollout=surge, max_skew=max_skew
                ),
                *([constraint(HOST, selector, hard=False, per_rollout=surge)] if domain != HOST else []),
            ]
        }
    if survive == "node":
        return {
            "topologySpreadConstraints": [
                constraint(
                    HOST,
                    selector,
                    hard=True,
                    domains=max(1, min(replicas, 2)),
                    per_rollout=surge,
                    max_skew=max_skew,
                ),
                *([constraint(domain, selector, hard=False, per_rollout=surge)] if domain != HOST else []),
            ]
        }
    return {"affinity": {"podAffinity": {_PREFERRED: [{"weight": 100, "podAffinityTerm": _NEIGHBOURS}]}}}


def group_placement(
    survive: str,
    selector: dict[str, str],
    *,
    leads: bool,
    nodes: int,
    replicas: int,
    failure_domains: int,
    surge: bool,
    domain: str = ZONE,
) -> dict[str, Any]:
    """The same for a pod of a group over several nodes: one pod on each node, all in one zone.

    Leaders are spread over the zones, and workers follow their leader. If the endpoint must survive the loss of a
    zone, this is required, because a group over two zones is lost with either of them. Otherwise it is preferred. A
    worker's affinity term matches its leader only, never the worker itself. So it waits until the leader is placed,
    and cannot take a zone that the leader's spread forbids.
    """
    own_group = {"matchLabelKeys": [GROUP_LABEL]}
    anti_affinity = {"labelSelector": {"matchLabels": selector}, **own_group, "topologyKey": HOST}
    affinity: dict[str, Any] = {"podAntiAffinity": {_REQUIRED: [anti_affinity]}}
    leaders = {**selector, MEMBER_LABEL: "0"}
    with_leader = {"labelSelector": {"matchLabels": leaders}, **own_group, "topologyKey": domain}
    pod_affinity: dict[str, Any] = {}
    if not leads and survive == "domain":
        pod_affinity[_REQUIRED] = [with_leader]
    elif not leads and domain != HOST:
        pod_affinity[_PREFERRED] = [{"weight": 100, "podAffinityTerm": with_leader}]
    if survive in ("none", "replica"):
        pod_affinity.setdefault(_PREFERRED, []).append({"weight": 50, "podAffinityTerm": _NEIGHBOURS})
    if pod_affinity:
        affinity["podAffinity"] = pod_affinity
    rollout_options = {"per_rollout": surge, "rollout": REVISION_LABEL}
    constraints: list[dict[str, Any]] = []
    if survive == "domain" and leads:
        min_domains = max(1, min(replicas, failure_domains))
        constraints.append(constraint(domain, leaders, hard=True, domains=min_domains, **rollout_options))
    if survive == "node":
        # At least no node runs pods of two groups.
        constraints.append(
            constraint(HOST, selector, hard=True, domains=nodes * min(replicas, 2), **rollout_options)
        )
        if leads and domain != HOST:
            constraints.append(constraint(domain, leaders, hard=False, **rollout_options))
    return {"affinity": affinity} | ({"topologySpreadConstraints": constraints} if constraints else {})


def spread_over_domains(selector: dict[str, str], domain: str = ZONE) -> list[dict[str, Any]]:
    """For gateways and translators: failure domains are required to differ, nodes preferred.

    The scheduler skips nodes without the label `domain`. If no node has it, no pod can be scheduled.
    """
    machines = [constraint(HOST, selector, hard=False, per_rollout=True)] if domain != HOST else []
    return [constraint(domain, selector, hard=True, per_rollout=True), *machines]


def probes_within(seconds: int, period: int) -> int:
    """Number of probes, one every `period` seconds, that fit into `seconds`. At least 60."""
    return max(60, math.ceil(seconds / period))
