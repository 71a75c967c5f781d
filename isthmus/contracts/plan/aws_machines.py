"""Computes the AWS machines of a plan: pools with instance type, number of nodes and endpoints.

A machine serves one class. Endpoints that must survive the loss of a node or domain get machines of their own; other
endpoints of a class share machines of a type, as the planner counted them.
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
_MAX_NAME_LENGTH = 40


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


def aws_machines(plan: Plan, requirements: Requirements, site: str) -> list[Machines]:
    """Every pool at an AWS site, sorted by name. Raises `InputError` for an unknown instance type."""
    groups: dict[tuple[str, str, str], list[PlannedEndpoint]] = {}
    for endpoint in plan.endpoints:
        if endpoint.site != site or endpoint.target != "eks-vllm":
            continue
        type_ = endpoint.instance_type or ""
        if type_ not in INSTANCES:
            raise InputError(
                f"endpoint `{endpoint.id}` has instance_type `{type_ or 'none'}`, which Isthmus does not know",
                fix=did_you_mean(type_, INSTANCES),
            )
        dedicated_to = (
            endpoint.id if survive_of(plan, requirements, endpoint.id) in ("node", "domain") else ""
        )
        groups.setdefault((type_, endpoint.class_, dedicated_to), []).append(endpoint)
    result = [
        _machines_of_group(plan, requirements, site, type_, own, members)
        for (type_, _, own), members in groups.items()
    ]
    return sorted(result, key=lambda entry: entry.name)


def _machines_of_group(
    plan: Plan,
    requirements: Requirements,
    site: str,
    type_: str,
    dedicated_to: str,
    members: list[PlannedEndpoint],
) -> Machines:
    gpus = INSTANCES[type_].gpus
    survive: Survive = survive_of(plan, requirements, dedicated_to) if dedicated_to else "none"
    domains = ZONES if survive == "domain" else 1
    if dedicated_to:
        replicas_per_machine, count = (
            max(1, gpus // (members[0].tensor_parallel or 1)),
            members[0].replicas or 1,
        )
        per_domain = math.ceil(count / 2) if domains > 1 else count
        # An even number in two zones: what one has more the other could not replace.
        nodes = math.ceil(per_domain / replicas_per_machine) * domains
        nodes = max(nodes, 2)
    else:
        used = sum((endpoint.tensor_parallel or 1) * (endpoint.replicas or 1) for endpoint in members)
        nodes = math.ceil(used / gpus)
    purchases = {endpoint.purchase or "on-demand" for endpoint in members}
    purchase = "spot" if "spot" in purchases else "on-demand"
    stem = dedicated_to or f"{type_.replace('.', '-')}-{members[0].class_}"
    ids = tuple(sorted(endpoint.id for endpoint in members))
    return Machines(_name(site, stem), site, type_, purchase, nodes, domains, ids)


def _name(site: str, stem: str) -> str:
    """`SITE-STEM`; cut, with digits that tell it apart, where that is longer than a name may be."""
    name = f"{site}-{stem}"
    if len(name) <= _MAX_NAME_LENGTH:
        return name
    digits = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{name[: _MAX_NAME_LENGTH - 7].rstrip('-')}-{digits}"


def replica_share(instance: Instance, gpus: int) -> tuple[int, int]:
    """vCPUs and GiB of memory for a replica on so many of a machine's GPUs: its part of what the system leaves."""
    part = gpus / instance.gpus
    return max(1, cpus_of(instance.vcpus, part)), max(1, memory_of(instance.memory_gib, part))
