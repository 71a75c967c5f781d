"""Messages about a move between plans: why it is refused, and which workloads have an outage."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from isthmus.core.errors import InputError, IsthmusError, Refused

if TYPE_CHECKING:
    from isthmus.contracts.platform.migration.capacity import Move, Short, Standing
    from isthmus.contracts.platform.model.platform import Platform

FLAG = "--replace-in-place"


def refusal(move: Move, platform: Platform, stack: str, *, consent: bool = False) -> IsthmusError | None:
    """The error if the move may not begin, else None. `consent`: `--replace-in-place` was given."""
    where = f"stack {stack}"
    if move.held:
        conflict = move.held[0]
        message = (
            f"endpoint {conflict.endpoint} uses volume {conflict.volume}, which is already bound to claim "
            f"{conflict.claim} of class {conflict.class_}"
        )
        if conflict.same_class:
            fix = (
                f"Set `uri: pvc://{conflict.claim}` for {conflict.endpoint} in the overrides, so that the old and the"
                " new endpoint share the claim. Nothing was changed"
            )
        else:
            fix = (
                f"Name another volume with these weights for {conflict.endpoint}: a volume serves one class."
                " Nothing was changed"
            )
        return InputError(message, where=where, fix=fix)
    if not move.first or consent:
        return None
    return Refused(
        f"the plan moves workloads, but {_reason(move)}. So {listed_ids(move.first)} must go before"
        f" {successors(move, platform)} can come: {outage_text(move, platform)}",
        where=where,
        fix=(
            f"Run `isthmus up {stack} {FLAG}` to accept the outage, or make room for both with more nodes or fewer"
            " replicas until the move is done. Nothing was changed"
        ),
    )


def outage_text(move: Move, platform: Platform) -> str:
    """Which workloads get no answers, and for how long at most."""
    if not move.down:
        return "no workload uses them"
    seconds = max(
        (
            endpoint.load_timeout_s
            for endpoint in platform.endpoints
            if endpoint.id in _successor_ids(move, platform)
        ),
        default=0,
    )
    duration = f"{math.ceil(seconds / 60)} minutes may pass" if seconds else "some minutes may pass"
    return (
        f"{', '.join(move.down)} would get no answers (503 from the gateway) until the new models have loaded;"
        f" {duration} (load_timeout_s)"
    )


def listed_ids(endpoints: tuple[Standing, ...]) -> str:
    return ", ".join(endpoint.id for endpoint in endpoints)


def successors(move: Move, platform: Platform) -> str:
    """The ids of the endpoints that replace those that go first."""
    return ", ".join(sorted(_successor_ids(move, platform))) or "the new endpoints"


def _successor_ids(move: Move, platform: Platform) -> set[str]:
    down = set(move.down)
    return {
        workload.endpoint
        for gateway in platform.gateways
        for workload in gateway.workloads
        if workload.name in down
    }


def _reason(move: Move) -> str:
    reasons = [_missing_room_text(short) for short in move.short]
    pools = {short.pool for short in move.short}
    renamed = [endpoint for endpoint in move.first if endpoint.pool not in pools]
    if renamed:
        reasons.append(
            f"{listed_ids(tuple(renamed))} keeps its name on another pool, so both cannot exist at once"
        )
    return "; ".join(reasons)


def _missing_room_text(short: Short) -> str:
    start = f"pool {short.pool} has {short.usable} usable GPUs"
    if short.wanted > short.usable:
        return (
            f"{start}, {short.wanted - short.usable} fewer than the {short.wanted} that the old and the new "
            "endpoints need together"
        )
    return (
        f"{start}, and the {short.wanted} of the old and the new endpoints do not fit its nodes of "
        f"{short.per_node} GPUs"
    )
