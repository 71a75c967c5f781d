"""Where replicas may stand."""

from typing import Any

from components.serving.placement import group_placement, placement, spread_over_domains

CHOSEN = {"app.kubernetes.io/name": "llama"}


def spread(survive: str, *, replicas: int = 6, domains: int = 2, surge: bool = False) -> dict[str, Any]:
    return placement(survive, CHOSEN, replicas=replicas, failure_domains=domains, surge=surge)


def hard(pod_spec: dict[str, Any]) -> dict[str, Any]:
    (topology_spread_constraint,) = [
        topology_spread_constraint
        for topology_spread_constraint in pod_spec["topologySpreadConstraints"]
        if topology_spread_constraint["whenUnsatisfiable"] == "DoNotSchedule"
    ]
    return topology_spread_constraint


def test_surviving_a_domain_forces_replicas_over_zones() -> None:
    constraint = hard(spread("domain"))
    assert (constraint["topologyKey"], constraint["maxSkew"], constraint["minDomains"]) == (
        "topology.kubernetes.io/zone",
        1,
        2,
    )
    assert constraint["labelSelector"] == {"matchLabels": CHOSEN}


def test_surviving_a_node_forces_replicas_over_machines() -> None:
    constraint = hard(spread("node"))
    assert (constraint["topologyKey"], constraint["maxSkew"], constraint["minDomains"]) == (
        "kubernetes.io/hostname",
        1,
        2,
    )


def test_one_replica_asks_for_one_domain() -> None:
    assert hard(spread("domain", replicas=1))["minDomains"] == 1


def test_below_that_replicas_prefer_to_fill_a_machine() -> None:
    for survive in ("none", "replica"):
        pod_spec = spread(survive)
        assert "topologySpreadConstraints" not in pod_spec
        (term,) = pod_spec["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
        assert term["podAffinityTerm"]["namespaceSelector"] == {}, "models of other classes count too"


def test_old_and_new_count_together_unless_rolled_with_surge() -> None:
    assert "matchLabelKeys" not in hard(spread("node")), "a full pool could never roll"
    assert hard(spread("node", surge=True))["matchLabelKeys"] == ["pod-template-hash"]


def test_machines_that_would_not_take_the_pod_do_not_count() -> None:
    constraint = hard(spread("domain"))
    assert constraint["nodeTaintsPolicy"] == constraint["nodeAffinityPolicy"] == "Honor"


RACK = "topology.bank.example/rack"


def test_a_rack_may_be_the_domain_that_must_be_outlived() -> None:
    pod_spec = placement("domain", CHOSEN, replicas=2, failure_domains=2, surge=False, domain=RACK)
    assert (hard(pod_spec)["topologyKey"], hard(pod_spec)["minDomains"]) == (RACK, 2)
    group = group_placement(
        *("domain", CHOSEN), leads=False, nodes=2, replicas=2, failure_domains=2, surge=False, domain=RACK
    )
    (near,) = group["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert near["topologyKey"] == RACK


def test_gateways_without_zones_are_spread_over_machines_by_force() -> None:
    constraints = spread_over_domains(CHOSEN, "kubernetes.io/hostname")
    assert [(constraint["topologyKey"], constraint["whenUnsatisfiable"]) for constraint in constraints] == [
        ("kubernetes.io/hostname", "DoNotSchedule")
    ], "a node without the zone's label would take no gateway"


def test_with_machines_as_domains_no_zone_label_is_needed() -> None:
    host = "kubernetes.io/hostname"
    alone = placement("node", CHOSEN, replicas=2, failure_domains=1, surge=False, domain=host)
    group = [
        group_placement(
            *(survive, CHOSEN), leads=leads, nodes=2, replicas=2, failure_domains=1, surge=False, domain=host
        )
        for survive in ("none", "node")
        for leads in (True, False)
    ]
    assert "topology.kubernetes.io/zone" not in str([alone, *group])


def test_only_leaders_are_forced_over_domains_and_only_where_a_domains_loss_is_outlived() -> None:
    def constraints(survive: str, *, leads: bool) -> list[tuple[str, str]]:
        pod_spec = group_placement(
            survive, {"app": "llama"}, leads=leads, nodes=2, replicas=3, failure_domains=2, surge=False
        )
        return [
            (entry["topologyKey"], entry["whenUnsatisfiable"])
            for entry in pod_spec.get("topologySpreadConstraints", [])
        ]

    zone, host = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
    assert constraints("domain", leads=True) == [(zone, "DoNotSchedule")]
    assert constraints("domain", leads=False) == []
    assert constraints("node", leads=True) == [(host, "DoNotSchedule"), (zone, "ScheduleAnyway")]
    assert constraints("node", leads=False) == [(host, "DoNotSchedule")]
    assert constraints("none", leads=True) == []
