"""Ids of the policies that should find each fault, and the known faults that they miss."""

from __future__ import annotations

FAMILY_OF: dict[str, str] = {
    "workload-hardening": "workload",
    "hardening": "workload",
    "model-release": "release",
}
"""Families of policies that the operators call otherwise."""
POLICIES: dict[str, frozenset[str]] = {
    "auditors-who-read-and-decide": frozenset({"data-path/own-settings"}),
    "board-that-follows-each-reviewer": frozenset({"data-path/own-settings"}),
    "bucket-that-goes-with-its-records": frozenset({"reliability/state-stays"}),
    "bucket-that-may-be-made-public": frozenset({"network/buckets-shut"}),
    "bucket-whose-policy-may-be-public": frozenset({"network/buckets-shut"}),
    "cluster-api-on-the-internet": frozenset({"network/cluster-private"}),
    "deadline-that-comes-much-later": frozenset({"data-path/own-settings"}),
    "default-deny-of-gateways-alone": frozenset({"network/default-deny"}),
    "default-deny-of-ingress-alone": frozenset({"network/default-deny"}),
    "default-group-that-lets-everything-out": frozenset({"network/groups-named"}),
    "desk-open-to-another-group": frozenset({"data-path/own-settings"}),
    "gateway-behind-a-public-load-balancer": frozenset({"network/services-inside"}),
    "gateway-behind-an-ingress": frozenset({"encryption/listeners-tls"}),
    "group-that-lets-every-address-in": frozenset({"network/groups-named"}),
    "guardrail-that-filters-no-content": frozenset({"guardrail/prompt-attacks"}),
    "guardrail-that-lets-personal-data-through": frozenset({"guardrail/personal-data"}),
    "guardrail-that-lets-prompt-attacks-through": frozenset({"guardrail/prompt-attacks"}),
    "model-called-without-its-guardrail": frozenset({"guardrail/asked"}),
    "namespace-without-default-deny": frozenset({"network/default-deny"}),
    "notifications-that-go-to-somebody-else": frozenset({"data-path/own-settings"}),
    "subnet-that-gives-public-addresses": frozenset({"network/nothing-public"}),
    "usage-loaded-into-a-database-in-the-cloud": frozenset({"data-path/own-settings"}),
    "way-in-for-every-namespace": frozenset({"network/policies-name-peers"}),
}
"""Operator → policies that are meant for it beside those of the families that it names."""
MISSED: frozenset[str] = frozenset()
"""Faults that no policy which is meant for them finds, at one place at least: what the pack does not see yet. The list
may only shrink, and is empty since every fault is found everywhere."""
