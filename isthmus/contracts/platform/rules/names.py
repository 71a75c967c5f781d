"""Rule: lists of plain values (networks, zones, endpoints) have no duplicates.

Lists of named parts are checked by `isthmus.core.uniqueness`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from isthmus.core import ip_addresses
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform

_LIST_FIELDS = {
    "sites": ("cidrs", "dns"),
    "pools": ("node_names",),
    "clusters": ("access",),
    "identities": ("endpoints",),
    "guardrails": ("earlier_versions",),
    "networks": ("classes", "services", "subnets", "route_tables"),
    "links": ("classes", "sources", "zones"),
}


def list_items_are_unique(platform: Platform) -> None:
    """No network, address, subnet, table, zone, class, node or endpoint appears twice in its list."""
    for index, site in enumerate(platform.sites):
        for number, text in enumerate(site.dns):
            ip_addresses.address(text, "sites", index, "dns", number)
    for entries, path in _named_lists(platform):
        for number, entry in enumerate(entries):
            if entry in entries[:number]:
                first = f"{path[-1]}[{entries.index(entry)}]"
                raise FieldError(
                    f"`{entry}` appears twice in {path[-1]}, also at {first}",
                    *(*path, number),
                    fix="Remove one of them",
                )


def _named_lists(platform: Platform) -> Iterator[tuple[list[str], tuple[str | int, ...]]]:
    for part, keys in _LIST_FIELDS.items():
        for index, item in enumerate(getattr(platform, part)):
            for key in keys:
                yield getattr(item, key), (part, index, key)
    for index, gateway in enumerate(platform.gateways):
        for number, workload in enumerate(gateway.workloads):
            path = ("gateways", index, "workloads", number, "overflow")
            yield workload.overflow, path
            if workload.endpoint in workload.overflow:
                raise FieldError(
                    f"`{workload.endpoint}` is both the endpoint of {workload.name} and its overflow",
                    *(*path, workload.overflow.index(workload.endpoint)),
                    fix="Remove it from `overflow`",
                )


CHECKS: tuple[Callable[[Platform], None], ...] = (list_items_are_unique,)


def check_member_classes(platform: Platform) -> None:
    """Members may only name classes that the platform has."""
    people = platform.people
    if people is None:
        return
    used = {part.class_ for part in (*platform.gateways, *platform.endpoints)}
    for index, member in enumerate(people.members):
        for number, class_ in enumerate(member.classes):
            if class_ not in used:
                raise FieldError(
                    f"the platform has no class `{class_}`",
                    *("people", "members", index, "classes", number),
                    fix=f"Use one of {', '.join(sorted(used))}",
                )
