"""Rules for names: lists of plain values (networks, zones, endpoints) have no duplicates; entries name what there is.

Lists of named parts are checked by `isthmus.core.uniqueness`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups.serving import lists_replicas
from isthmus.contracts.reference.admission import replicas_name
from isthmus.core import ip_addresses
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Gateway, Platform

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
            for key in ("overflow", "fallback"):
                path, names = ("gateways", index, "workloads", number, key), getattr(workload, key)
                yield names, path
                if workload.endpoint in names:
                    raise FieldError(
                        f"`{workload.endpoint}` is both the endpoint of {workload.name} and its {key}",
                        *(*path, names.index(workload.endpoint)),
                        fix=f"Remove it from `{key}`",
                    )


def replica_names_are_free(platform: Platform) -> None:
    """No endpoint has the name of the Service that lists another endpoint's replicas."""
    taken = {
        replicas_name(endpoint.id): endpoint.id
        for endpoint in platform.endpoints
        if lists_replicas(platform, endpoint)
    }
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.id in taken:
            raise FieldError(
                f"`{endpoint.id}` is the name of the Service that lists the replicas of `{taken[endpoint.id]}`",
                *("endpoints", index, "id"),
                fix="Use another id",
            )


CHECKS: tuple[Callable[[Platform], None], ...] = (list_items_are_unique, replica_names_are_free)


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


def check_known(
    gateway: Gateway, kind: str, names: Sequence[str], known: Sequence[str], where: tuple[str | int, ...]
) -> None:
    """Each name is one that the gateway's workloads have. `kind`: of the names, such as `domain`."""
    for name in names:
        if name not in known:
            raise FieldError(
                f"gateway {gateway.name} has no {kind} `{name}`",
                *where,
                fix=f"Use one of: {', '.join(known) or 'none (no workload has `review`)'}",
            )


def check_once(kind: str, names: Sequence[str], where: tuple[str | int, ...]) -> None:
    """No name is there twice."""
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise FieldError(f"{kind} `{twice}` is there twice", *where, fix="Keep one of the two entries")
