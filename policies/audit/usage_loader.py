"""Audit rule for usage loaders: they run alone, read the records only, and reach their ledger and store only."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.contracts.platform.lookups.usage import ledger_of, loader_places
from isthmus.graph.network.reachability import POLICY
from isthmus.graph.resources.resources import Resource
from policies.inputs.isolation import (
    IN_NAMESPACE,
    StatedPeers,
    gateways_of_namespace,
    intruders,
    isolated_resources,
    network_policies_of,
    pods_with_role,
    unstated_peers,
)
from policies.inputs.neighbours import secrets_of_pod
from policies.inputs.pods import POD_KINDS
from policies.inputs.values import is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

ROLE = "loader"
"""Role of the pods that load usage ledgers."""


def _check_loader_apart(subject: Subject) -> Iterator[Violation]:
    yield from intruders(subject, ROLE, "the usage loader", "its")
    platform = subject.platform
    if platform is None:
        return
    for pod in pods_with_role(subject, ROLE):
        ledgers = [
            ledger
            for gateway in gateways_of_namespace(subject, pod.namespace)
            if (ledger := ledger_of(gateway))
        ]
        if not ledgers:
            yield Violation(
                f"{pod.resource.name} loads a usage ledger, and the platform states none", pod.resource
            )
            continue
        stated = {secret for ledger in ledgers for secret in (ledger.secret, ledger.store_secret)}
        for secret in sorted({*secrets_of_pod(pod.spec)} - stated):
            if is_unknown(secret):
                yield Violation(
                    f"which Secrets {pod.resource.name} mounts is not known yet", pod.resource, "undecided"
                )
                continue
            yield Violation(
                f"{pod.resource.name} reads records and mounts the Secret {secret}, which the platform does "
                "not state for it",
                pod.resource,
            )
    for policy, namespace in network_policies_of(subject, ROLE):
        if gateways := [
            gateway for gateway in gateways_of_namespace(subject, namespace) if ledger_of(gateway)
        ]:
            addresses = {address for gateway in gateways for address, _ in loader_places(platform, gateway)}
            callers = {platform.monitoring.namespace or ""}
            yield from unstated_peers(policy, namespace, StatedPeers("", addresses, callers, ()))


def _scope(subject: Subject) -> Iterator[Resource]:
    return isolated_resources(subject, ROLE)


RULES = (
    Rule(
        "audit/loader-apart",
        "The usage loader is isolated, and reaches its ledger and the record store only",
        "high",
        (*fw.nist("AC-6", "AU-9(4)", "SC-7"), *fw.pci("10.3.1"), *fw.iso_27001("A.8.3")),
        "It reads all records of its class: whoever shares its way out or its Secrets can read or write them",
        "Run it alone in its namespace without RBAC roles, with the Secrets and the egress that the platform states",
        _check_loader_apart,
        (*POD_KINDS, *IN_NAMESPACE, POLICY),
        applies_to=_scope,
    ),
)
