"""Checks plans that move workloads between the stacks of an estate, for outages and for models built twice.

A single stack builds the new model beside the old one and then updates the gateway. In an estate the platform stack
owns the gateway and is built first. So the old model is removed before the new one exists, which needs consent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.platform.migration.capacity import Move, Standing, is_moved
from isthmus.contracts.platform.migration.messages import FLAG, listed_ids, outage_text
from isthmus.core.errors import Refused

if TYPE_CHECKING:
    from isthmus.blueprints.estates import Estate, Member
    from isthmus.contracts.platform.model.platform import Platform


def removed_endpoints(
    running: Iterable[Standing], platform: Platform, served_ids: frozenset[str]
) -> tuple[Standing, ...]:
    """The running endpoints of a serving stack that the plan removes. `served_ids`: the endpoints that it keeps."""
    pool_of = {endpoint.id: endpoint.pool for endpoint in platform.endpoints}
    return tuple(
        endpoint
        for endpoint in running
        if endpoint.replicas and (endpoint.id not in served_ids or is_moved(endpoint, pool_of))
    )


def outage_refusal(
    running: Sequence[Standing], platform: Platform, estate: Estate, member: Member, holder: Member
) -> Refused | None:
    """Why a run of `member` needs consent: it would cut off endpoints that are `running` in `holder`."""
    removed = removed_endpoints(running, platform, estate.served_by(platform, holder))
    if not removed or member.layer not in ("platform", "serving"):
        return None
    problem = f"the plan removes {listed_ids(removed)} from {holder.stack} before the replacement exists"
    return Refused(
        f"{problem}: {outage_text(Move(removed, removed), platform)}",
        where=f"stack {member.stack}",
        fix=(
            f"Run `isthmus up {estate.name} {FLAG}` to accept the outage, or build the platform as one stack, which"
            " runs both side by side. Nothing was changed"
        ),
    )


def double_serving_refusal(
    running: Sequence[Standing], platform: Platform, estate: Estate, member: Member, holder: Member
) -> Refused | None:
    """Why serving stack `member` may not build endpoints that `holder` still runs: both would own the same objects."""
    if member == holder or member.layer != "serving":
        return None
    served_ids = estate.served_by(platform, member)
    duplicate_ids = [endpoint.id for endpoint in running if endpoint.id in served_ids]
    if not duplicate_ids:
        return None
    return Refused(
        f"{', '.join(duplicate_ids)} runs in {holder.stack}, and {member.stack} would create it a second time",
        where=f"stack {member.stack}",
        fix=f"Run `isthmus up {holder.stack} {FLAG}` first, which removes it there. Nothing was changed",
    )
