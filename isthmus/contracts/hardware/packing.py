"""Exact packing of replicas into nodes: free GPUs in all are not enough, each replica needs its node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Replica:
    """One replica of an endpoint: `gpus` on each of `nodes` different nodes."""

    gpus: int
    nodes: int = 1


def capacities(nodes: int, gpus_per_node: int, reserved: int = 0) -> list[int]:
    """Usable GPUs of each node of a pool: reserved ones are taken from the last nodes, as few as possible."""
    free = [gpus_per_node] * nodes
    for node in reversed(range(nodes)):
        count = min(reserved, free[node])
        free[node] -= count
        reserved -= count
    return free


def pack(capacities: Sequence[int], replicas: Sequence[Replica]) -> list[tuple[int, ...]] | None:
    """The nodes of each replica (indices into `capacities`), or None where no packing exists.

    `capacities` are the free GPUs of each node. Exact: first fit decreasing, which is enough where each
    size divides the next, else a search that tries nodes of equal room once.
    """
    order = sorted(range(len(replicas)), key=lambda index: replicas[index], reverse=True)
    if sum(replica.gpus * replica.nodes for replica in replicas) > sum(capacities):
        return None
    placement = _search(list(capacities), [replicas[index] for index in order], {})
    if placement is None:
        return None
    result: list[tuple[int, ...]] = [()] * len(replicas)
    for index, nodes in zip(order, placement, strict=True):
        result[index] = nodes
    return result


def _search(
    free: list[int], replicas: list[Replica], dead_ends: dict[tuple[int, tuple[int, ...]], bool]
) -> list[tuple[int, ...]] | None:
    """Depth first without recursion limits: one level a replica, choices in order of the tightest fit."""
    placed: list[tuple[int, ...]] = []
    choices: list[list[tuple[int, ...]]] = []
    while len(placed) < len(replicas):
        level = len(placed)
        if len(choices) == level:
            state = (level, tuple(sorted(free)))
            choices.append([] if state in dead_ends else _options(free, replicas[level]))
            dead_ends[state] = True  # entered once; a second entry could only fail again
        if choices[level]:
            nodes = choices[level].pop(0)
            for node in nodes:
                free[node] -= replicas[level].gpus
            placed.append(nodes)
            continue
        choices.pop()
        if not placed:
            return None
        for node in placed.pop():
            free[node] += replicas[level - 1].gpus
    return placed


def _options(free: list[int], replica: Replica) -> list[tuple[int, ...]]:
    """Sets of nodes that could hold the replica, one for each distinct set of rooms."""
    fitting = sorted((room, node) for node, room in enumerate(free) if room >= replica.gpus)
    if len(fitting) < replica.nodes:
        return []
    if replica.nodes == 1:
        node_by_room: dict[int, int] = {}
        for room, node in fitting:
            node_by_room.setdefault(room, node)
        return [(node,) for node in node_by_room.values()]
    options: list[tuple[int, ...]] = []
    seen_rooms: set[tuple[int, ...]] = set()

    def choose(start: int, nodes: list[int], rooms: list[int]) -> None:
        if len(nodes) == replica.nodes:
            if tuple(rooms) not in seen_rooms:
                seen_rooms.add(tuple(rooms))
                options.append(tuple(nodes))
            return
        last_room: int | None = None
        for index in range(start, len(fitting)):
            room, node = fitting[index]
            if room == last_room:
                continue  # the same room at this place: the same packing
            last_room = room
            choose(index + 1, [*nodes, node], [*rooms, room])

    choose(0, [], [])
    return options
