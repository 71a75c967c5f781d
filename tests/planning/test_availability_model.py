"""The availability of a path, against enumeration of every state, against simulated years, and its properties."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.vocabulary import FailurePart
from isthmus.planning.availability import model
from isthmus.planning.availability.model import Copies, NodeGroup, Path, Replicas
from isthmus.planning.catalogues.failure_modes import FailureMode


def mode(part: FailurePart, rate: float, hours: float, common: float = 0.0) -> FailureMode:
    return FailureMode(part, rate, hours, common, "assumed", "a test", "2026-11-25")


def group(domains: Sequence[Sequence[int]], needed: int, spare: int = 0, **modes: FailureMode) -> Replicas:
    """Replicas on nodes in domains, with failures so frequent that each matters."""
    return Replicas(
        at="endpoint",
        needed=needed,
        domains=tuple(tuple(NodeGroup(count) for count in nodes) for nodes in domains),
        replica=modes.get("replica", mode("replica", 30, 8, 0.05)),
        node=modes.get("node", mode("node-on-prem", 12, 40, 0.02)),
        domain=modes.get("domain", mode("domain-on-prem", 4, 20, 0.05)),
        spare_nodes=spare,
    )


# -- enumeration: every state of every part, judged one by one


def down(rate: float, hours: float) -> float:
    """By the mean times: down for `hours` in each cycle of a failure and its repair."""
    return hours / (8760 / rate + hours) if rate else 0.0


def enumerated(replicas: Replicas) -> float:
    """Sum the probabilities of all states in which enough replicas run."""
    modes = (replicas.replica, replicas.node, replicas.domain)
    own = [down(part.rate_per_year * (1 - part.common_cause), part.repair_hours) for part in modes]
    common = [down(part.rate_per_year * part.common_cause, part.repair_hours) for part in modes]
    starting = down(replicas.node.rate_per_year * (1 - replicas.node.common_cause), modes[0].repair_hours)
    nodes = [(index, node.replicas) for index, nodes in enumerate(replicas.domains) for node in nodes]
    places = [number for number, (_, count) in enumerate(nodes) for _ in range(count)]
    node_chances = {"up": 1 - own[1], "starting": starting, "out": own[1] - starting}
    total = 0.0
    for domains_up in itertools.product((True, False), repeat=len(replicas.domains)):
        for states in itertools.product(node_chances, repeat=len(nodes)):
            for replicas_up in itertools.product((True, False), repeat=len(places)):
                failed = sum(state != "up" for state in states)
                room = failed <= replicas.spare_nodes and all(domains_up)
                running = sum(
                    works
                    and domains_up[nodes[place][0]]
                    and (states[place] == "up" or (states[place] == "out" and room))
                    for place, works in zip(places, replicas_up, strict=True)
                )
                if running >= replicas.needed:
                    total += math.prod(
                        [
                            *(1 - own[2] if works else own[2] for works in domains_up),
                            *(node_chances[state] for state in states),
                            *(1 - own[0] if works else own[0] for works in replicas_up),
                        ]
                    )
    return total * math.prod(1 - share for share in common)


@pytest.mark.parametrize(
    ("domains", "needed", "spare"),
    [
        ([[1]], 1, 0),
        ([[2]], 1, 0),
        ([[1, 1]], 1, 0),
        ([[1, 1], [1]], 2, 0),
        ([[2, 1], [1, 1]], 3, 0),
        ([[2], [2]], 2, 0),
        ([[1, 0]], 1, 1),
        ([[1, 1, 0]], 2, 1),
        ([[2, 1], [0]], 3, 1),
        ([[1, 0], [1, 0]], 2, 2),
    ],
)
def test_the_availability_of_replicas_equals_the_enumeration_of_all_states(
    domains: list[list[int]], needed: int, spare: int
) -> None:
    replicas = group(domains, needed, spare)
    assert model.availability(Path((), (replicas,))) == pytest.approx(enumerated(replicas), abs=1e-12)


def test_the_availability_of_copies_equals_the_enumeration_of_all_states() -> None:
    gateway = mode("gateway", 50, 10, 0.1)
    own, common = down(45, 10), down(5, 10)
    total = sum(
        math.prod(1 - own if works else own for works in states)
        for states in itertools.product((True, False), repeat=3)
        if sum(states) >= 2
    )
    path = Path((Copies(gateway, "public-fra1", 3, 2),))
    assert model.availability(path) == pytest.approx(total * (1 - common), abs=1e-12)


def test_two_nodes_that_carry_one_replica_are_down_when_either_is() -> None:
    node = mode("node-on-prem", 12, 40)
    calm = {"replica": mode("replica", 0, 8), "domain": mode("domain-on-prem", 0, 20), "node": node}
    wide = replace(group([[1]], 1, 0, **calm), domains=((NodeGroup(1, nodes=2),),))
    assert model.availability(Path((), (wide,))) == pytest.approx((1 - down(12, 40)) ** 2)


# -- simulation: years of failures and repairs, with random times


def simulated(replicas: Replicas, years: int, seed: int) -> float:
    """The share of simulated time in which enough replicas run. No mode has a common cause here."""
    chance = random.Random(seed)
    nodes = [(domain, node.replicas) for domain, nodes in enumerate(replicas.domains) for node in nodes]
    places = [number for number, (_, count) in enumerate(nodes) for _ in range(count)]
    parts: list[tuple[str, int]] = [
        *(("domain", number) for number in range(len(replicas.domains))),
        *(("node", number) for number in range(len(nodes))),
        *(("replica", number) for number in range(len(places))),
    ]
    modes = {"domain": replicas.domain, "node": replicas.node, "replica": replicas.replica}
    events: list[tuple[float, int, str]] = []

    def schedule(now: float, index: int, event: str) -> None:
        part = modes[parts[index][0]]
        mean = 8760 / part.rate_per_year if event == "fails" else part.repair_hours
        heapq.heappush(events, (now + chance.expovariate(1 / mean), index, event))

    for index in range(len(parts)):
        schedule(0.0, index, "fails")
    failed: set[tuple[str, int]] = set()
    starting: set[int] = set()
    now, working, end = 0.0, 0.0, years * 8760.0
    while now < end:
        at, index, event = heapq.heappop(events)
        if _enough(replicas, nodes, places, failed, starting):
            working += min(at, end) - now
        now, (kind, number) = at, parts[index]
        if event == "started":
            starting.discard(number)
        elif event == "fails":
            failed.add((kind, number))
            schedule(now, index, "works")
            if kind == "node":
                starting.add(number)
                start = chance.expovariate(1 / replicas.replica.repair_hours)
                heapq.heappush(events, (now + start, index, "started"))
        else:
            failed.discard((kind, number))
            starting.discard(number)
            schedule(now, index, "fails")
    return working / end


def _enough(
    replicas: Replicas,
    nodes: Sequence[tuple[int, int]],
    places: Sequence[int],
    failed: set[tuple[str, int]],
    starting: set[int],
) -> bool:
    nodes_failed = sum(kind == "node" for kind, _ in failed)
    room = nodes_failed <= replicas.spare_nodes and not any(kind == "domain" for kind, _ in failed)
    running = 0
    for number, place in enumerate(places):
        if ("replica", number) in failed or ("domain", nodes[place][0]) in failed:
            continue
        node_failed = ("node", place) in failed
        running += not node_failed or (room and place not in starting)
    return running >= replicas.needed


@pytest.mark.parametrize(
    ("domains", "needed", "spare"),
    [([[1]], 1, 0), ([[1, 1], [1, 1]], 3, 0), ([[2, 1]], 2, 0), ([[1, 1, 0]], 2, 1)],
)
def test_simulated_years_of_failures_and_repairs_have_the_same_availability(
    domains: list[list[int]], needed: int, spare: int
) -> None:
    modes = {
        "replica": mode("replica", 40, 6),
        "node": mode("node-on-prem", 15, 40),
        "domain": mode("domain-on-prem", 5, 20),
    }
    replicas = group(domains, needed, spare, **modes)
    predicted = 1 - model.availability(Path((), (replicas,)))
    measured = 1 - simulated(replicas, 3000, seed=7)
    assert measured == pytest.approx(predicted, rel=0.06), "the two are estimates of the same downtime"


# -- properties


shares = st.floats(0, 1)
rates = st.floats(0, 50)
hours = st.floats(0.01, 100)


@st.composite
def groups(draw: st.DrawFn) -> Replicas:
    domains = draw(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=3))
    parts: dict[str, FailurePart] = {"replica": "replica", "node": "node-aws", "domain": "domain-aws"}
    modes = {key: mode(part, draw(rates), draw(hours), draw(shares)) for key, part in parts.items()}
    total = sum(map(sum, domains))
    return group(domains, draw(st.integers(1, max(1, total))), draw(st.integers(0, 2)), **modes)


def of(replicas: Replicas) -> float:
    return model.availability(Path((), (replicas,)))


@given(groups(), st.data())
def test_another_replica_on_any_node_never_lowers_the_availability(replicas: Replicas, data: Any) -> None:
    domain = data.draw(st.integers(0, len(replicas.domains) - 1))
    node = data.draw(st.integers(0, len(replicas.domains[domain]) - 1))
    domains = [list(nodes) for nodes in replicas.domains]
    domains[domain][node] = NodeGroup(domains[domain][node].replicas + 1)
    more = replace(replicas, domains=tuple(map(tuple, domains)))
    assert of(more) >= of(replicas) - 1e-12


@given(groups(), st.data())
def test_another_node_with_a_replica_never_lowers_the_availability(replicas: Replicas, data: Any) -> None:
    replicas = replace(replicas, spare_nodes=0)
    domain = data.draw(st.integers(0, len(replicas.domains) - 1))
    domains = [list(nodes) for nodes in replicas.domains]
    domains[domain].append(NodeGroup(1))
    assert of(replace(replicas, domains=tuple(map(tuple, domains)))) >= of(replicas) - 1e-12


@given(groups(), st.sampled_from(["replica", "node", "domain"]), st.floats(1, 10), st.booleans())
def test_more_or_longer_failures_of_any_part_never_raise_the_availability(
    replicas: Replicas, key: str, factor: float, longer: bool
) -> None:
    part: FailureMode = getattr(replicas, key)
    field = "repair_hours" if longer else "rate_per_year"
    worse = replace(replicas, **{key: replace(part, **{field: getattr(part, field) * factor})})
    assert of(worse) <= of(replicas) + 1e-12


@given(groups())
def test_a_load_that_needs_another_replica_never_raises_the_availability(replicas: Replicas) -> None:
    assert of(replace(replicas, needed=replicas.needed + 1)) <= of(replicas) + 1e-12


@given(st.integers(1, 4), st.integers(1, 4), rates, hours, shares)
def test_another_copy_of_a_part_never_lowers_the_availability(
    count: int, needed: int, rate: float, repair: float, common: float
) -> None:
    part = mode("gateway", rate, repair, common)
    fewer, more = (Path((Copies(part, "gateway", number, needed),)) for number in (count, count + 1))
    assert 0 <= model.availability(fewer) <= model.availability(more) + 1e-12 <= 1 + 1e-9


# -- what limits a path


def test_the_part_whose_repair_would_gain_most_comes_first() -> None:
    path = Path(
        (Copies(mode("site-on-prem", 1, 2), "fra1"), Copies(mode("link-vpn", 4, 3), "fra1-frankfurt")),
        (group([[1]], 1, node=mode("node-on-prem", 2, 30)),),
    )
    losses = model.losses(path)
    assert [part for part, _, _ in losses][:2] == ["replica", "domain-on-prem"]
    gains = [hours for _, _, hours in losses]
    assert gains == sorted(gains, reverse=True)
    assert {part: at for part, at, _ in losses}["link-vpn"] == "fra1-frankfurt"
    link = next(hours for part, _, hours in losses if part == "link-vpn")
    repaired = model.availability(path.without("link-vpn", "fra1-frankfurt"))
    assert link == pytest.approx((repaired - model.availability(path)) * 8760)


def test_a_part_at_another_place_is_not_the_same_part() -> None:
    sites = tuple(Copies(mode("site-aws", 1, hours), at) for at, hours in (("one", 5.0), ("two", 50.0)))
    assert [at for _, at, _ in model.losses(Path(sites))] == ["two", "one"]
