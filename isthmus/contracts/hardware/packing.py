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
        taken = min(reserved, free[node])
        free[node] -= taken
        reserved -= taken
    return free


def pack(capacities: Sequence[int], replicas: Sequence[Replica]) -> list[tuple[int, ...]] | None:
    """The nodes of each replica (indices into `capacities`), or None where no packing exists.

    `capacities` are the free GPUs of each node. Exact: first fit decreasing, which is enough where each
    size divides the next, else a search that tries nodes of equal room once.
    """
    order = sorted(range(len(replicas)), key=lambda index: replicas[index], reverse=True)
    if sum(one.gpus * one.nodes for one in replicas) > sum(capacities):
        return None
    found = _search(list(capacities), [replicas[index] for index in order], {})
    if found is None:
        return None
    result: list[tuple[int, ...]] = [()] * len(replicas)
    for index, nodes in zip(order, found, strict=True):
        result[index] = nodes
    return result


def _search(
    free: list[int], fix: list[Replica], dead: dict[tuple[int, tuple[int, ...]], bool]
) -> list[tuple[int, ...]] | None:
    """Depth first without recursion limits: one level a replica, choices in order of the tightest fit."""
    placed: list[tuple[int, ...]] = []
    choices: list[list[tuple[int, ...]]] = []
    while len(placed) < len(fix):
        level = len(placed)
        if len(choices) == level:
            state = (level, tuple(sorted(free)))
            choices.append([] if state in dead else _options(free, fix[level]))
            dead[state] = True  # entered once; a second entry could only fail again
        if choices[level]:
            nodes = choices[level].pop(0)
            for node in nodes:
                free[node] -= fix[level].gpus
            placed.append(nodes)
            continue
        choices.pop()
        if not placed:
            return None
        for node in placed.pop():
            free[node] += fix[level - 1].gpus
    return placed


def _options(free: list[int], replica: Replica) -> list[tuple[int, ...]]:
    """Sets of nodes that could hold the replica, one for each distinct set of rooms."""
    fitting = sorted((room, node) for node, room in enumerate(free) if room >= replica.gpus)
    if len(fitting) < replica.nodes:
        return []
    if replica.nodes == 1:
        first: dict[int, int] = {}
        for room, node in fitting:
            first.setdefault(room, node)
        return [(node,) for node in first.values()]
    options: list[tuple[int, ...]] = []
    seen: set[tuple[int, ...]] = set()

    def choose(start: int, chosen: list[int], rooms: list[int]) -> None:
        if len(chosen) == replica.nodes:
            if tuple(rooms) not in seen:
                seen.add(tuple(rooms))
                options.append(tuple(chosen))
            return
        last: int | None = None
        for index in range(start, len(fitting)):
            room, node = fitting[index]
            if room == last:
                continue  # the same room at this place: the same packing
            last = room
            choose(index + 1, [*chosen, node], [*rooms, room])

    choose(0, [], [])
    return options
