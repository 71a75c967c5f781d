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
"""Machines that hold a model already: whole ones stay free for models that need many GPUs of one."""


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
    """A topology spread constraint; `domains`: at least so many must hold a pod (only with `hard`).

    `per_rollout`: pods of another rollout, told apart by the label `rollout`, do not count.
    """
    fields: dict[str, Any] = {
        "maxSkew": max_skew,
        "topologyKey": key,
        "whenUnsatisfiable": "DoNotSchedule" if hard else "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector},
        # Machines that would not take the pod anyway do not count as places.
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
    """Pod fields that spread replicas as `survive` demands, or fill a machine where it demands nothing.

    `domain`: key of the node label that tells failure domains apart.

    `max_skew`: by how many replicas the places may differ, where what serves them differs by as many.

    Without surge a roll frees a place before it fills one, so old and new pods are counted together and
    the freed place is the one that evens them out. Counting the new alone (`matchLabelKeys`) would be
    right with surge only: in a full pool it can demand a machine on which nothing is free, for ever.
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
    """The same for a pod of a group that spans `nodes` machines: a pod on each, all in one zone.

    Leaders are spread over the zones, workers follow theirs: by force where a zone's loss must be
    outlived, since a group over two zones would be lost with either; else where it can be. A worker's
    term matches its leader only, never itself: it waits until the leader has a place, and cannot take a
    zone that the leader's spread forbids.
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
        # Two groups at least share no machine.
        constraints.append(
            constraint(HOST, selector, hard=True, domains=nodes * min(replicas, 2), **rollout_options)
        )
        if leads and domain != HOST:
            constraints.append(constraint(domain, leaders, hard=False, **rollout_options))
    return {"affinity": affinity} | ({"topologySpreadConstraints": constraints} if constraints else {})


def spread_over_domains(selector: dict[str, str], domain: str = ZONE) -> list[dict[str, Any]]:
    """For gateways and translators: over failure domains by force, over machines where it can be.

    The scheduler skips nodes without the label `domain`: where no node has it, no pod finds a place.
    """
    machines = [constraint(HOST, selector, hard=False, per_rollout=True)] if domain != HOST else []
    return [constraint(domain, selector, hard=True, per_rollout=True), *machines]


def probes_within(seconds: int, period: int) -> int:
    """How many probes, one every `period` seconds, fit into `seconds`; at least the usual 60."""
    return max(60, math.ceil(seconds / period))
