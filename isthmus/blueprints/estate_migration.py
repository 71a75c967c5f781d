"""Plans that move workloads, in an estate: who would be cut off, and who would stand twice.

One stack builds the new model beside the old one and then rolls the gateway. In layers the gateway is the platform's,
which is built first: so an old model goes before the new one comes, and only where that was accepted.
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


def gone(stands: Iterable[Standing], platform: Platform, mine: frozenset[str]) -> tuple[Standing, ...]:
    """What stands in a serving stack that it will not have any more. `mine`: the endpoints that it serves now."""
    pools = {endpoint.id: endpoint.pool for endpoint in platform.endpoints}
    return tuple(each for each in stands if each.replicas and (each.id not in mine or is_moved(each, pools)))


def refusal(
    stands: Sequence[Standing], platform: Platform, estate: Estate, asked: Member, holder: Member
) -> Refused | None:
    """Why a run of `asked` may not begin without consent while `stands` is what stands in `holder`."""
    going = gone(stands, platform, estate.served_by(platform, holder))
    if not going or asked.layer not in ("platform", "serving"):
        return None
    what = f"the plan takes {listed_ids(going)} from {holder.stack}, and in layers the old goes before the new comes"
    return Refused(
        f"{what}: {outage_text(Move(going, going), platform)}",
        where=f"stack {asked.stack}",
        fix=(
            f"Nothing was changed. Run `isthmus up {estate.name} {FLAG}` to accept that, or build the platform as one"
            " stack, which has both side by side"
        ),
    )


def twice(
    stands: Sequence[Standing], platform: Platform, estate: Estate, asked: Member, holder: Member
) -> Refused | None:
    """Why a serving stack may not make what stands in another: both would own the same objects."""
    if asked == holder or asked.layer != "serving":
        return None
    mine = estate.served_by(platform, asked)
    found = [each.id for each in stands if each.id in mine]
    if not found:
        return None
    return Refused(
        f"{', '.join(found)} stands in {holder.stack}, and {asked.stack} would make it a second time",
        where=f"stack {asked.stack}",
        fix=f"Nothing was changed. Run `isthmus up {holder.stack} {FLAG}` first, which takes it down",
    )
