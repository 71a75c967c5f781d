"""A move in words: why it is refused, what it costs, and what happens to whom."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from isthmus.core.errors import InputError, IsthmusError, Refused

if TYPE_CHECKING:
    from isthmus.contracts.platform.migration.capacity import Move, Short, Standing
    from isthmus.contracts.platform.model.platform import Platform

FLAG = "--replace-in-place"


def refusal(move: Move, platform: Platform, stack: str, *, consent: bool = False) -> IsthmusError | None:
    """Why the move cannot begin as it is asked for; None where it can. `consent`: the flag was given."""
    where = f"stack {stack}"
    if move.held:
        one = move.held[0]
        what = f"endpoint {one.endpoint} asks for volume {one.volume}, which {one.class_}'s claim {one.claim} has"
        if one.same_class:
            fix = (
                f"Say `uri: pvc://{one.claim}` for {one.endpoint} in the overrides: the old and the new share the"
                " claim, and nothing waits for it. Nothing was changed"
            )
        else:
            fix = (
                f"A volume serves one class: name another volume with these weights for {one.endpoint}."
                " Nothing was changed"
            )
        return InputError(what, where=where, fix=fix)
    if not move.first or consent:
        return None
    return Refused(
        f"the plan moves workloads, and {_why(move)}. So {ids(move.first)} must go before"
        f" {successors(move, platform)} can come: {price(move, platform)}",
        where=where,
        fix=(
            f"Nothing was changed. Run `isthmus up {stack} {FLAG}` to accept that, or make room for both: more nodes,"
            " or fewer replicas until the move is done"
        ),
    )


def price(move: Move, platform: Platform) -> str:
    """Who gets no answers, and for how long at most."""
    if not move.down:
        return "no workload is served by them"
    seconds = max(
        (each.load_timeout_s for each in platform.endpoints if each.id in _after(move, platform)), default=0
    )
    long = f"{math.ceil(seconds / 60)} minutes may pass" if seconds else "some minutes may pass"
    return (
        f"{', '.join(move.down)} would get no answers (503 from the gateway, and no other model) until the new models"
        f" have loaded, for which {long} (load_timeout_s)"
    )


def ids(standing: tuple[Standing, ...]) -> str:
    return ", ".join(each.id for each in standing)


def successors(move: Move, platform: Platform) -> str:
    """The endpoints that serve next what those that go first have served."""
    return ", ".join(sorted(_after(move, platform))) or "the new endpoints"


def _after(move: Move, platform: Platform) -> set[str]:
    down = set(move.down)
    return {
        workload.endpoint
        for gateway in platform.gateways
        for workload in gateway.workloads
        if workload.name in down
    }


def _why(move: Move) -> str:
    parts = [_room(each) for each in move.short]
    here = {each.pool for each in move.short}
    renamed = [each for each in move.first if each.pool not in here]
    if renamed:
        parts.append(
            f"{ids(tuple(renamed))} keeps its name on another pool, so that both cannot stand at once"
        )
    return "; ".join(parts)


def _room(short: Short) -> str:
    asked = f"pool {short.pool} has {short.usable} GPUs to give"
    if short.wanted > short.usable:
        return f"{asked}, {short.wanted - short.usable} fewer than the {short.wanted} of the old and the new together"
    return f"{asked}, and the {short.wanted} of the old and the new do not fit its nodes of {short.per_node}"
