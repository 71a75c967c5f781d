"""Computes the share of the time in which all parts of a workload's path work.

A path is a series: it works while each of its parts works. Some parts have copies, of which a few must run. The
replicas of a model server run on nodes, and nodes stand in failure domains; enough replicas must run for the peak.
Failures are independent, except for the common cause of a kind of part, which stops all of that kind at once.

The result is exact for this model: it adds up the probabilities of all numbers of running replicas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from isthmus.contracts.vocabulary import FailurePart
from isthmus.planning.catalogues.failure_modes import HOURS_PER_YEAR, FailureMode, share_down

States = dict[tuple[int, int], float]
"""Probability by (running replicas, failed nodes). More failed nodes than count are counted as one more."""


@dataclass(frozen=True)
class Copies:
    """Equal copies of a part, `needed` of which must run."""

    mode: FailureMode
    at: str
    """What the part is: a site, a gateway, a link."""
    count: int = 1
    needed: int = 1


@dataclass(frozen=True)
class NodeGroup:
    """A node with its replicas; or several nodes, each of which takes the replicas with it."""

    replicas: int
    nodes: int = 1


@dataclass(frozen=True)
class Replicas:
    """The replicas of a model server, `needed` of which must run to carry the peak."""

    at: str
    """The endpoint."""
    needed: int
    domains: tuple[tuple[NodeGroup, ...], ...]
    """The nodes of each failure domain."""
    replica: FailureMode
    node: FailureMode
    domain: FailureMode
    spare_nodes: int = 0
    """Nodes that may fail while all replicas find room elsewhere. Their replicas then start there."""


@dataclass(frozen=True)
class Path:
    """What must work for a workload to be available."""

    copies: tuple[Copies, ...]
    replicas: tuple[Replicas, ...] = ()

    def modes(self) -> dict[tuple[FailurePart, str], FailureMode]:
        """Return the failure modes of the path, each with what it is the failure of."""
        found: dict[tuple[FailurePart, str], FailureMode] = {
            (copies.mode.part, copies.at): copies.mode for copies in self.copies
        }
        for group in self.replicas:
            found |= {(mode.part, group.at): mode for mode in (group.replica, group.node, group.domain)}
        return found

    def without(self, part: FailurePart, at: str) -> Path:
        """Return the path as if this part never failed."""

        def mended(mode: FailureMode, place: str) -> FailureMode:
            return replace(mode, rate_per_year=0.0) if (mode.part, place) == (part, at) else mode

        return Path(
            tuple(replace(copies, mode=mended(copies.mode, copies.at)) for copies in self.copies),
            tuple(
                replace(
                    group,
                    replica=mended(group.replica, group.at),
                    node=mended(group.node, group.at),
                    domain=mended(group.domain, group.at),
                )
                for group in self.replicas
            ),
        )


def availability(path: Path) -> float:
    """Return the share of the time in which the path works, 0 to 1."""
    result = 1.0
    for copies in path.copies:
        result *= _copies_work(copies)
    for group in path.replicas:
        result *= _replicas_suffice(group)
    return result


def rounded_down(share: float) -> float:
    """Round an availability to six digits, never up: what misses its goal must not look as if it met it."""
    return math.floor(share * 1e6) / 1e6


def losses(path: Path) -> list[tuple[FailurePart, str, float]]:
    """Return what the path would gain if a part never failed, in hours a year, the most first."""
    today = availability(path)
    gains: list[tuple[FailurePart, str, float]] = [
        (part, at, max(0.0, availability(path.without(part, at)) - today) * HOURS_PER_YEAR)
        for part, at in path.modes()
    ]
    return sorted(gains, key=lambda gain: (-gain[2], gain[0], gain[1]))


def _copies_work(copies: Copies) -> float:
    running = _running(copies.count, copies.mode.own)
    return (1 - copies.mode.common) * sum(
        probability for count, probability in running.items() if count >= copies.needed
    )


def _running(copies: int, down: float) -> dict[int, float]:
    """Return the probability of each number of running copies, if each is down for a share of the time."""
    result = {0: 1.0}
    for _ in range(copies):
        following: dict[int, float] = {}
        for count, probability in result.items():
            following[count] = following.get(count, 0.0) + probability * down
            following[count + 1] = following.get(count + 1, 0.0) + probability * (1 - down)
        result = following
    return result


def _replicas_suffice(group: Replicas) -> float:
    """Return the share of the time in which enough replicas run.

    While at most `spare_nodes` nodes are down, their replicas are away only until they have started elsewhere.
    Otherwise they are away until their nodes are repaired.
    """
    together = (1 - group.replica.common) * (1 - group.node.common) * (1 - group.domain.common)
    within_spares = sum(
        probability
        for (count, failed), probability in _states(group, moved=True).items()
        if failed <= group.spare_nodes and count >= group.needed
    )
    beyond_spares = sum(
        probability
        for (count, failed), probability in _states(group, moved=False).items()
        if failed > group.spare_nodes and count >= group.needed
    )
    return together * (within_spares + beyond_spares)


def _states(group: Replicas, *, moved: bool) -> States:
    """Return the states of all domains. `moved`: replicas of a failed node are away only while they start again."""
    most_failed = group.spare_nodes + 1
    down = group.domain.own
    result: States = {(0, 0): 1.0}
    for nodes in group.domains:
        domain: States = {(0, 0): 1.0}
        for node in nodes:
            domain = _sum(domain, _node_states(group, node, moved=moved), most_failed)
        lost = {(0, most_failed): down}
        for state, probability in domain.items():
            lost[state] = lost.get(state, 0.0) + probability * (1 - down)
        result = _sum(result, lost, most_failed)
    return result


def _node_states(group: Replicas, node: NodeGroup, *, moved: bool) -> States:
    """Return the states of a node, or of nodes that are lost together."""
    failed = 1 - (1 - group.node.own) ** node.nodes
    rate = group.node.rate_per_year * (1 - group.node.common_cause)
    starting = 1 - (1 - share_down(rate, group.replica.repair_hours)) ** node.nodes
    away = min(starting, failed) if moved else failed
    running = _running(node.replicas, group.replica.own)
    states: States = {(count, 0): probability * (1 - failed) for count, probability in running.items()}
    for count, probability in running.items():
        states[count, 1] = probability * (failed - away)
    states[0, 1] += away
    return states


def _sum(first: States, second: States, most_failed: int) -> States:
    """Return the states of two independent groups together."""
    result: States = {}
    for (count, failed), probability in first.items():
        for (more, more_failed), other in second.items():
            state = count + more, min(most_failed, failed + more_failed)
            result[state] = result.get(state, 0.0) + probability * other
    return result
