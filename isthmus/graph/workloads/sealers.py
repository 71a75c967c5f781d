"""Sealers with an AWS identity in a rendered graph: whose they are, what their role may, and who else may what it may.

Each sentence that comes back breaks what must hold: a role of the sealer's own that puts below its prefix of the store
and deletes nothing, at an endpoint of ours that lets it in by name; and nobody else who puts or deletes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.platform.model.records import READ_BACK, SEAL_LOCK, SEAL_OPEN, SEAL_PUT, SEALS_LISTED
from isthmus.core.errors import IsthmusError
from isthmus.graph.iam.permissions import MOUNT, Role, _allowed, covers, roles
from isthmus.graph.network.private_endpoints import lets, unknown
from isthmus.graph.resources.references import undecided
from isthmus.graph.resources.resources import Fault, Graph, Resource, listed, place
from isthmus.graph.resources.texts import loaded
from isthmus.graph.workloads.fargate_tasks import DEFINITION, containers, tasks
from isthmus.graph.workloads.translators import identity

TAKES = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention")
"""By these a seal could go before its time, or be hidden."""
_MAY = frozenset((*SEAL_PUT, *READ_BACK, *SEALS_LISTED, *SEAL_LOCK, *SEAL_OPEN, *MOUNT))
_ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
_CONFIG = "kubernetes:core/v1:ConfigMap"


@dataclass(frozen=True)
class Sealer:
    """A workload or a task that seals."""

    name: str
    site: str
    resource: Resource
    role: str
    """Its AWS role; empty where it has none."""
    store: Mapping[str, Any]
    """As its configuration names it."""
    hosts: tuple[str, ...] = ()
    """Addresses at which its pod knows the store; none on Fargate."""
    words: Mapping[str, Any] = field(default_factory=dict)
    """Its configuration."""


def told(graph: Graph, namespace: str, template: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The edge's configurations that pods of a template are given. Raises `IsthmusError` where one cannot be read."""
    volumes = (template.get("spec") or {}).get("volumes") or []
    wanted = {str(each["configMap"].get("name")) for each in volumes if each.get("configMap")}
    meant = graph.referred([each for each in wanted if undecided(each)], ":ConfigMap")
    found: list[dict[str, Any]] = []
    for config in graph.of(_CONFIG):
        name, space = place(config)
        if space != namespace or not (name in wanted or config in meant):
            continue
        data = config.inputs.get("data") or {}
        text = data if isinstance(data, str) else data.get("config.yaml")
        if text:
            read = loaded(text, config.name)
            found += [read] if isinstance(read, dict) else []
    return found


def sealers(graph: Graph) -> list[Sealer]:
    """Every one whose configuration can be read."""
    return [each for each in _looked(graph) if isinstance(each, Sealer)]


def unread(graph: Graph) -> list[Resource]:
    """Pods that are labelled as sealers and whose configuration cannot be read."""
    return [each for each in _looked(graph) if not isinstance(each, Sealer)]


def _looked(graph: Graph) -> Iterator[Sealer | Resource]:
    for each, template in graph.pods():
        labels = (template.get("metadata") or {}).get("labels") or {}
        namespace = place(each)[1]
        try:
            configs = told(graph, namespace, template)
        except IsthmusError:
            if labels.get("isthmus.dev/role") == "sealer":
                yield each
            continue
        for config in configs:
            if config.get("mode") == "sealer":
                aliases = (template.get("spec") or {}).get("hostAliases") or []
                yield Sealer(
                    place(each)[0],
                    str(config.get("site")),
                    each,
                    identity(graph, namespace, template),
                    config.get("store") or {},
                    tuple(str(alias.get("ip")) for alias in aliases),
                    config,
                )
    for task in tasks(graph):
        for config in task.configs():
            if config.get("mode") == "sealer":
                site = str(config.get("site"))
                yield Sealer(task.name, site, task.resource, task.role, config.get("store") or {}, (), config)


def seal_alone(graph: Graph, platform: Platform | None) -> list[Fault]:
    """What is wrong with the identities of sealers in AWS, and who else may put into a write-once store or delete
    there."""
    every = {each.resource.urn: each for each in roles(graph)}
    mine: set[str] = set()
    broken: list[Fault] = []
    for sealer in sealers(graph):
        if sealer.store.get("credentials"):
            continue  # an S3-compatible store's own, on-prem
        if not sealer.role:
            why = f"{sealer.name} has no AWS identity, and its store names no credentials"
            broken.append(Fault(why, sealer.resource))
            continue
        found = [each for each in graph.referred(sealer.role, ":Role") if each.urn in every]
        if not found:
            why = f"the role of {sealer.name} is not made here, and nothing says what it may"
            broken.append(Fault(why, sealer.resource, "undecided"))
        for role in (every[each.urn] for each in found):
            mine.add(role.resource.urn)
            broken += _more_than_sealing(sealer, role)
            broken += _reached(graph, platform, sealer, role)
        broken += [
            Fault(f"{other} has the identity of {sealer.name}", sealer.resource)
            for other in _bearers(graph, sealer.role)
            if other != sealer.name
        ]
    mine |= {each.urn for role in _of_unread(graph) for each in graph.referred(role, ":Role")}
    for role in every.values():
        if role.resource.urn not in mine:
            broken += _puts_or_takes(graph, role)
    return broken


def _of_unread(graph: Graph) -> Iterator[str]:
    """Roles of pods and tasks of which it is not known yet whether they seal: that is said of them elsewhere."""
    hidden = {each.urn for each in unread(graph)}
    for each, template in graph.pods():
        if each.urn in hidden:
            yield identity(graph, place(each)[1], template)
    for each in graph.of(DEFINITION):
        if containers(each) is None:
            yield str(each.inputs.get("taskRoleArn") or "")


def _bearers(graph: Graph, role: str) -> Iterator[str]:
    """Pods and tasks that have a role."""
    for each, template in graph.pods():
        if identity(graph, place(each)[1], template) == role:
            yield place(each)[0]
    yield from (task.name for task in tasks(graph) if task.role == role)


def _more_than_sealing(sealer: Sealer, role: Role) -> Iterator[Fault]:
    """What a sealer's role may beyond putting below its prefix."""
    about = role.resource
    for name in role.hidden:
        yield Fault(f"{name} of role {role.name} is not known before it is made", about, "undecided")
    if role.unknown:
        yield Fault(f"role {role.name} has {', '.join(role.unknown)}, whose words are not known", about)
    prefix = str(sealer.store.get("prefix") or "")
    for statement in _allowed(role):
        actions, resources = listed(statement.get("Action")), listed(statement.get("Resource"))
        if "NotAction" in statement:
            yield Fault(f"role {role.name} may all that it does not name, and seals", about)
        for action in sorted(set(actions) - _MAY):
            yield Fault(f"role {role.name} of {sealer.name} may {action}, which sealing does not take", about)
        if set(actions) & {*SEAL_PUT, *READ_BACK}:
            for resource in resources:
                if not prefix or not resource.endswith(f"/{prefix}/*"):
                    why = f"role {role.name} puts to {resource}, beyond {prefix or 'no prefix'} of {sealer.name}"
                    yield Fault(why, about)


def _reached(graph: Graph, platform: Platform | None, sealer: Sealer, role: Role) -> Iterator[Fault]:
    """Whether the addresses at which a sealer's pod knows the store are an endpoint of ours that lets it in."""
    objects = [
        resource
        for statement in _allowed(role)
        if "s3:PutObject" in listed(statement.get("Action"))
        for resource in listed(statement.get("Resource"))
    ]
    if not sealer.hosts:
        open_to = [
            each for each in graph.of(_ENDPOINT) if str(each.inputs.get("serviceName")).endswith(".s3")
        ]
    else:
        stated = {each.address for each in (platform.audit if platform else []) if each.site == sealer.site}
        if set(sealer.hosts) <= stated:
            return  # the organisation's own endpoint, by the platform's word
        open_to = [each for each in graph.of(_ENDPOINT) if set(sealer.hosts) <= set(fixed(each))]
    if not open_to:
        where = ", ".join(sealer.hosts) or "its public name"
        yield Fault(
            f"{sealer.name} seals at {where}, which is no endpoint of S3 that is made here", sealer.resource
        )
    for endpoint in open_to:
        if all(
            lets(graph, endpoint, "aws:PrincipalArn", sealer.role, "s3:PutObject", each) for each in objects
        ):
            return
    for endpoint in open_to:
        why = f"the policy of {endpoint.name} does not let {sealer.name} put seals"
        yield Fault(why, sealer.resource, "undecided" if unknown(graph, endpoint) else "violated")


def fixed(endpoint: Resource) -> list[str]:
    """The addresses that an endpoint is given beforehand."""
    return [str(each.get("ipv4")) for each in endpoint.inputs.get("subnetConfigurations") or []]


def _puts_or_takes(graph: Graph, role: Role) -> Iterator[Fault]:
    """What a role that is no sealer's is given to do to what is sealed, whether its boundary stops it or not."""
    for action in ("s3:PutObject", *TAKES):
        for statement in _allowed(role):
            named = listed(statement.get("Action"))
            if "NotAction" not in statement and not any(covers(each, action) for each in named):
                continue
            stores = sorted(
                {name for each in listed(statement.get("Resource")) for name in _stores(graph, each)}
            )
            if stores:
                why = f"role {role.name} seals nothing, and may {action} in {', '.join(stores)}"
                yield Fault(why, role.resource)
                break


def _stores(graph: Graph, resource: str) -> list[str]:
    """Write-once buckets that a policy's resource reaches."""
    locked = [each for each in graph.of("aws:s3/bucket:Bucket") if each.inputs.get("objectLockEnabled")]
    meant = graph.referred(resource, ":Bucket")
    wide = resource == "*" or resource.startswith(("arn:aws:s3:::*", "arn:*"))
    return [each.name for each in locked if wide or each in meant]
