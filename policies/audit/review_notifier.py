"""Checks of notifiers for `audit/reviews-apart`: they run alone, and reach the database and their targets only."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.contracts.platform.lookups.notifier import exits_of
from isthmus.contracts.platform.model.platform import Gateway
from policies.inputs.isolation import (
    StatedPeers,
    gateways_of_namespace,
    intruders,
    network_policies_of,
    pods_with_role,
    unstated_peers,
)
from policies.rules.rule import Subject, Violation

ROLE = "notifier"
"""Role of the pods that tell people that answers wait."""


def check_notifiers(subject: Subject) -> Iterator[Violation]:
    """Reports what runs beside a notifier, and whom it reaches, other than the platform states."""
    yield from intruders(subject, ROLE, "the notifier", "its")
    platform = subject.platform
    if platform is None:
        return

    def stated(namespace: str) -> list[Gateway]:
        gateways = gateways_of_namespace(subject, namespace)
        return [gateway for gateway in gateways if gateway.notifier is not None]

    for pod in pods_with_role(subject, ROLE):
        if not stated(pod.namespace):
            yield Violation(
                f"{pod.resource.name} tells people of held answers, and the platform states no notifier",
                pod.resource,
            )
    for policy, namespace in network_policies_of(subject, ROLE):
        gateways = stated(namespace)
        if not gateways:
            continue
        addresses = {place.address for gateway in gateways for place in exits_of(gateway)}
        addresses |= {gateway.database.address for gateway in gateways if gateway.database is not None}
        callers = {platform.monitoring.namespace or ""}
        yield from unstated_peers(policy, namespace, StatedPeers("", addresses, callers, ()))
