"""Builds the search for foreign entries of a stack: its state, clusters, trusted managers and policies."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.estate import layers as estate_layers
from isthmus.engine.foreign.entries import ForeignEntries
from isthmus.engine.foreign.role_policies import RolePolicies
from isthmus.engine.foreign.security_groups import SecurityGroups
from isthmus.engine.policy import evaluation as policy_evaluation
from isthmus.engine.recovery import kubernetes_lookup
from isthmus.graph.resources.state import Stated

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.core.kubernetes_client import KubeClient
    from isthmus.engine.project.project import Stack


def search_of(
    stack: Stack,
    platform: Platform,
    state: Mapping[str, Any],
    clusters_by_site: Mapping[str, KubeClient],
    warn: Callable[[str], None],
) -> ForeignEntries:
    """The search in a state's clusters and accounts. `warn` gets a line for each cluster that cannot be searched."""

    @functools.cache
    def siblings() -> list[dict[str, Any]]:
        members = stack.estate.members if stack.estate else ()
        return [
            estate_layers.read_state(stack, member.stack) for member in members if member.stack != stack.name
        ]

    label = f"{stack.project.name}/{stack.name}"
    settings = policy_evaluation.settings([stack])

    def refused(without: Sequence[Stated], with_entries: Sequence[Stated]) -> frozenset[str]:
        known, new = (
            policy_evaluation.findings(stack, resources, platform, settings)
            for resources in (without, with_entries)
        )
        return policy_evaluation.newly_refused(known, new)

    return ForeignEntries(
        state=state,
        siblings=siblings,
        clusters=_clusters(state, clusters_by_site, warn),
        trust=settings.trust,
        today=datetime.now(UTC).date(),
        refused=refused,
        roles=RolePolicies(state, siblings, label),
        groups=SecurityGroups(state, siblings, label),
    )


def _clusters(
    state: Mapping[str, Any], clusters_by_site: Mapping[str, KubeClient], warn: Callable[[str], None]
) -> dict[str, KubeClient]:
    """Name of each Kubernetes provider in the state → its cluster."""
    clusters = dict(clusters_by_site)
    for resource in state.get("resources") or []:
        name = str(resource["urn"]).rsplit("::", 1)[-1]
        if resource["type"] != "pulumi:providers:kubernetes" or name in clusters or resource.get("delete"):
            continue
        try:
            clusters[name] = kubernetes_lookup.cluster_of(resource)
        except EnvironmentFault as fault:
            warn(f"what others added to objects in the cluster of {name} is unknown: {fault.what}")
    return clusters
