"""The machines in AWS that a plan's endpoints stand on, pool by pool: how many, of what, for whom.

A machine serves one class. Where a loss of more than a replica must be outlived it serves one endpoint, so that
what a loss takes is its own; else endpoints of a class share machines of a type, as the planner counted them.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.contracts.hardware.aws_instances import INSTANCES, Instance
from isthmus.contracts.plan.capacity_rules import survive_of
from isthmus.contracts.requirements.node_share import cpus_of, memory_of
from isthmus.contracts.vocabulary import Survive
from isthmus.core.errors import InputError
from isthmus.core.validation_errors import did_you_mean

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan, PlannedEndpoint
    from isthmus.contracts.requirements.document import Requirements

ZONES = 2
"""Availability zones that an AWS site is used in."""
_LONGEST = 40


@dataclass(frozen=True)
class Machines:
    """A pool's machines."""

    name: str
    site: str
    instance_type: str
    purchase: str
    """`on-demand`: a term that is committed to (`reserved-12`) is a matter of the bill."""
    nodes: int
    domains: int
    endpoints: tuple[str, ...]

    @property
    def instance(self) -> Instance:
        return INSTANCES[self.instance_type]


def machines(plan: Plan, requirements: Requirements, site: str) -> list[Machines]:
    """Every pool at an AWS site, by name. Raises `InputError` for a type of machine that nobody knows."""
    groups: dict[tuple[str, str, str], list[PlannedEndpoint]] = {}
    for endpoint in plan.endpoints:
        if endpoint.site != site or endpoint.target != "eks-vllm":
            continue
        type_ = endpoint.instance_type or ""
        if type_ not in INSTANCES:
            raise InputError(
                f"endpoint `{endpoint.id}` stands on `{type_ or 'no'}` machines, a type that is not known",
                fix=did_you_mean(type_, INSTANCES),
            )
        own = endpoint.id if survive_of(plan, requirements, endpoint.id) in ("node", "domain") else ""
        groups.setdefault((type_, endpoint.class_, own), []).append(endpoint)
    found = [
        _of(plan, requirements, site, type_, own, members) for (type_, _, own), members in groups.items()
    ]
    return sorted(found, key=lambda each: each.name)


def _of(
    plan: Plan, requirements: Requirements, site: str, type_: str, own: str, members: list[PlannedEndpoint]
) -> Machines:
    gpus = INSTANCES[type_].gpus
    survive: Survive = survive_of(plan, requirements, own) if own else "none"
    domains = ZONES if survive == "domain" else 1
    if own:
        holds, count = max(1, gpus // (members[0].tensor_parallel or 1)), members[0].replicas or 1
        each = math.ceil(count / 2) if domains > 1 else count
        # An even number in two zones: what one has more the other could not replace.
        nodes = math.ceil(each / holds) * domains
        nodes = max(nodes, 2)
    else:
        used = sum((each.tensor_parallel or 1) * (each.replicas or 1) for each in members)
        nodes = math.ceil(used / gpus)
    bought = {each.purchase or "on-demand" for each in members}
    purchase = "spot" if "spot" in bought else "on-demand"
    stem = own or f"{type_.replace('.', '-')}-{members[0].class_}"
    ids = tuple(sorted(each.id for each in members))
    return Machines(_name(site, stem), site, type_, purchase, nodes, domains, ids)


def _name(site: str, stem: str) -> str:
    """`SITE-STEM`; cut, with digits that tell it apart, where that is longer than a name may be."""
    whole = f"{site}-{stem}"
    if len(whole) <= _LONGEST:
        return whole
    digits = hashlib.sha256(whole.encode()).hexdigest()[:6]
    return f"{whole[: _LONGEST - 7].rstrip('-')}-{digits}"


def share(instance: Instance, gpus: int) -> tuple[int, int]:
    """vCPUs and GiB of memory for a replica on so many of a machine's GPUs: its part of what the system leaves."""
    part = gpus / instance.gpus
    return max(1, cpus_of(instance.vcpus, part)), max(1, memory_of(instance.memory_gib, part))
