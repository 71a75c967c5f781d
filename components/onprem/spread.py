"""Where the replicas of an endpoint may stand, so that it survives what it must."""

import math
from typing import Any

from components.kube import ENDPOINT_LABEL, ROLE_LABEL

SURVIVE = ("none", "replica", "node", "domain")
_ZONE = "topology.kubernetes.io/zone"
_HOST = "kubernetes.io/hostname"


def constraint(
    key: str, chosen: dict[str, str], *, hard: bool, domains: int | None = None, per_rollout: bool = False
) -> dict[str, Any]:
    """A topology spread constraint; `domains`: at least so many must hold a pod (only with `hard`)."""
    made: dict[str, Any] = {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "DoNotSchedule" if hard else "ScheduleAnyway",
        "labelSelector": {"matchLabels": chosen},
        # Machines that would not take the pod anyway do not count as places.
        "nodeAffinityPolicy": "Honor",
        "nodeTaintsPolicy": "Honor",
    }
    if domains is not None and hard:
        made["minDomains"] = domains
    if per_rollout:
        made["matchLabelKeys"] = ["pod-template-hash"]
    return made


def placement(
    survive: str, chosen: dict[str, str], *, replicas: int, failure_domains: int, surge: bool
) -> dict[str, Any]:
    """Pod fields that spread replicas as `survive` demands, or fill a machine where it demands nothing.

    Without surge a roll frees a place before it fills one, so old and new pods are counted together and
    the freed place is the one that evens them out. Counting the new alone (`matchLabelKeys`) would be
    right with surge only: in a full pool it can demand a machine on which nothing is free, for ever.
    """
    if survive == "domain":
        at_least = max(1, min(replicas, failure_domains))
        return {
            "topologySpreadConstraints": [
                constraint(_ZONE, chosen, hard=True, domains=at_least, per_rollout=surge),
                constraint(_HOST, chosen, hard=False, per_rollout=surge),
            ]
        }
    if survive == "node":
        return {
            "topologySpreadConstraints": [
                constraint(_HOST, chosen, hard=True, domains=max(1, min(replicas, 2)), per_rollout=surge),
                constraint(_ZONE, chosen, hard=False, per_rollout=surge),
            ]
        }
    # Whole machines stay free for models that need many GPUs of one.
    neighbours = {
        "labelSelector": {"matchExpressions": [{"key": ENDPOINT_LABEL, "operator": "Exists"}]}
        | {"matchLabels": {ROLE_LABEL: "model"}},
        "namespaceSelector": {},
        "topologyKey": _HOST,
    }
    term = {"weight": 100, "podAffinityTerm": neighbours}
    return {"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}}


def over_zones(chosen: dict[str, str]) -> list[dict[str, Any]]:
    """For gateways and translators: over zones by force, over machines where it can be."""
    return [
        constraint(_ZONE, chosen, hard=True, per_rollout=True),
        constraint(_HOST, chosen, hard=False, per_rollout=True),
    ]


def probes_within(seconds: int, period: int) -> int:
    """How many probes, one every `period` seconds, fit into `seconds`; at least the usual 60."""
    return max(60, math.ceil(seconds / period))
