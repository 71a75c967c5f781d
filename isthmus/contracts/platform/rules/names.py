"""Lists in which each entry is made once: one that stands there twice would be made twice under one name.

A rule of `platform_checks`. Lists of parts, which bear names, are `unique`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from isthmus.core import ip_addresses
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform

_LISTS = {
    "sites": ("cidrs", "dns"),
    "pools": ("node_names",),
    "clusters": ("access",),
    "identities": ("endpoints",),
    "guardrails": ("earlier_versions",),
    "networks": ("classes", "services", "subnets", "route_tables"),
    "links": ("classes", "sources", "zones"),
}


def nothing_stands_twice(platform: Platform) -> None:
    """No network, address, subnet, table, zone, class, machine or endpoint stands twice in its list."""
    for index, site in enumerate(platform.sites):
        for number, text in enumerate(site.dns):
            ip_addresses.address(text, "sites", index, "dns", number)
    for entries, path in _each(platform):
        for number, entry in enumerate(entries):
            if entry in entries[:number]:
                raise FieldError(
                    f"`{entry}` stands twice in {path[-1]} (items {entries.index(entry) + 1} and {number + 1})",
                    *(*path, number),
                    fix="Leave one out",
                )


def _each(platform: Platform) -> Iterator[tuple[list[str], tuple[str | int, ...]]]:
    for part, keys in _LISTS.items():
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
                    fix="Leave it out of the overflow",
                )


CHECKS: tuple[Callable[[Platform], None], ...] = (nothing_stands_twice,)


def classes_are_in_use(platform: Platform) -> None:
    """A class that the platform does not have was meant for another; accounts need a way in."""
    people = platform.people
    if people is None:
        return
    used = {each.class_ for each in (*platform.gateways, *platform.endpoints)}
    for index, each in enumerate(people.members):
        for number, held in enumerate(each.classes):
            if held not in used:
                raise FieldError(
                    f"the platform has no class {held}",
                    *("people", "members", index, "classes", number),
                    fix=f"It has: {', '.join(sorted(used))}",
                )
