"""Checks of review desks for `audit/reviews-apart`: who reaches their port, and what runs at their sign-on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from isthmus.contracts.platform.lookups.desk import DESK_PORT
from isthmus.contracts.platform.lookups.sign_on import client_of
from isthmus.contracts.platform.model.desk import ReviewDesk
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.reference.admission import reviews_namespace, reviews_sign_on_namespace
from isthmus.contracts.reference.sign_on_proxy import serving_arguments, sign_on_arguments
from isthmus.graph.resources.resources import Resource
from policies.inputs.declared import namespace_sensitivities
from policies.inputs.isolation import (
    StatedPeers,
    gateways_of_namespace,
    intruders,
    namespace_of,
    network_policies_of,
    pods_with_role,
    problems_of_sign_on,
    unstated_peers,
)
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules.rule import Subject, Violation

ROLE = "reviews-sign-on"
"""Role of the pods at which reviewers sign on."""
_PORT, _HEALTH_PORT = 8443, 9090


def desks_of(gateways: Sequence[Gateway]) -> list[tuple[Gateway, ReviewDesk]]:
    """The desks of gateways."""
    return [(gateway, gateway.desk) for gateway in gateways if gateway.desk is not None]


def check_desk_port(policy: Resource, sensitivity: str) -> Iterator[Violation]:
    """Reports whom a network policy of a review service lets reach the desk's port beside the proxy at its sign-on."""
    proxy = reviews_sign_on_namespace(sensitivity)
    rules = at(policy.inputs, "spec.ingress")
    for rule in list_or_empty(rules):
        if not _opens_desk(at(rule, "ports")):
            continue
        for peer in list_or_empty(at(rule, "from")) or [None]:
            source, labels = namespace_of(peer), at(peer, "podSelector.matchLabels")
            role = labels.get("isthmus.dev/role") if isinstance(labels, Mapping) else labels
            if is_unknown(peer) or is_unknown(source) or is_unknown(role):
                yield Violation(
                    f"who reaches the review desk by {policy.name} is not known yet", policy, "undecided"
                )
            elif source != proxy or role != ROLE:
                who = at(peer, "ipBlock.cidr") or (f"namespace {source}" if source else "everybody")
                yield Violation(
                    f"{policy.name} lets {who} reach the port of the review desk past its sign-on", policy
                )


def _opens_desk(ports: object) -> bool:
    """Whether ports of a rule have the desk's. None means all; a name or an unknown value may be it."""
    if ports is None or is_unknown(ports):
        return True
    for entry in list_or_empty(ports) or [None]:
        first, last = at(entry, "port"), at(entry, "endPort")
        if not isinstance(first, int | float):
            return True
        if first == DESK_PORT or (isinstance(last, int | float) and first <= DESK_PORT <= last):
            return True
    return False


def check_sign_on(subject: Subject) -> Iterator[Violation]:
    """Reports what runs at the sign-ons of desks, and whom they reach, other than the platform states."""
    yield from intruders(subject, ROLE, "the review desk's sign-on", "its")
    platform = subject.platform
    if platform is None:
        return
    sensitivities = namespace_sensitivities(subject.graph)

    def stated(namespace: str) -> list[tuple[Gateway, ReviewDesk]]:
        return desks_of(gateways_of_namespace(subject, namespace))

    for pod in pods_with_role(subject, ROLE):
        if not stated(pod.namespace):
            yield Violation(
                f"{pod.resource.name} is the sign-on of a review desk, and the platform states none",
                pod.resource,
            )
            continue
        expected = [_arguments(platform, *entry) for entry in stated(pod.namespace)]
        for problem in problems_of_sign_on(pod, expected):
            yield Violation(f"{pod.resource.name} {problem}", pod.resource)
    sign_on = platform.people.sign_on if platform.people else None
    for policy, namespace in network_policies_of(subject, ROLE):
        desks = [desk for _, desk in stated(namespace)]
        if not desks:
            continue
        peers = StatedPeers(
            calls=reviews_namespace(sensitivities[namespace]),
            addresses={sign_on.address} if sign_on is not None and sign_on.address is not None else set(),
            callers={source for desk in desks for source in desk.from_namespaces}
            | {platform.monitoring.namespace or ""},
            cidrs={cidr for desk in desks for cidr in desk.from_cidrs},
        )
        yield from unstated_peers(policy, namespace, peers)


def _arguments(platform: Platform, gateway: Gateway, desk: ReviewDesk) -> list[str]:
    sign_on = platform.people.sign_on if platform.people else None
    if sign_on is None:
        return []
    host = f"{gateway.class_}-reviews.{reviews_namespace(gateway.class_)}.svc"
    client = client_of(platform, desk) or ""
    return [
        *sign_on_arguments(
            sign_on.issuer,
            client,
            sign_on.scope,
            desk.url,
            f"https://{host}:{DESK_PORT}",
            desk.max_session_s,
        ),
        *serving_arguments(_PORT, _HEALTH_PORT, has_issuer_ca=sign_on.ca is not None),
    ]
