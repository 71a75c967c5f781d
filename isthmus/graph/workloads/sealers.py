"""Sealers with an AWS identity in a rendered graph: their permissions, and other roles with the same permissions.

Each function returns faults. A sealer has its own role, which only writes below its prefix of the store and deletes
nothing, at a private endpoint that names it. No other role writes or deletes there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.platform.model.records import SEAL_LIST, SEAL_LOCK, SEAL_PUT, SEAL_READ, SEAL_USE_KEY
from isthmus.core.errors import IsthmusError
from isthmus.graph.iam.permissions import MOUNT, Role, _allowed, covers, roles
from isthmus.graph.network.private_endpoints import allows_by_name, has_unread_policy
from isthmus.graph.resources.references import undecided
from isthmus.graph.resources.resources import Fault, Graph, Resource, as_list, name_and_namespace
from isthmus.graph.resources.texts import load_config
from isthmus.graph.workloads.fargate_tasks import DEFINITION, containers, tasks
from isthmus.graph.workloads.translators import identity

REMOVE_ACTIONS = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention")
"""Actions that could delete a seal before its retention ends, or hide it."""
_ALLOWED_ACTIONS = frozenset((*SEAL_PUT, *SEAL_READ, *SEAL_LIST, *SEAL_LOCK, *SEAL_USE_KEY, *MOUNT))
_ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
_CONFIG = "kubernetes:core/v1:ConfigMap"


@dataclass(frozen=True)
class Sealer:
    """A workload or task that seals."""

    name: str
    site: str
    resource: Resource
    role: str
    """Its AWS role; empty if it has none."""
    store: Mapping[str, Any]
    """The store in its configuration."""
    hosts: tuple[str, ...] = ()
    """Host addresses of the store in its pod; empty on Fargate."""
    words: Mapping[str, Any] = field(default_factory=dict)
    """Its configuration."""


def edge_configs(graph: Graph, namespace: str, template: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The edge's configurations in the pods of a template. Raises `IsthmusError` if one cannot be read."""
    volumes = (template.get("spec") or {}).get("volumes") or []
    names = {str(volume["configMap"].get("name")) for volume in volumes if volume.get("configMap")}
    referred_maps = graph.referred([name for name in names if undecided(name)], ":ConfigMap")
    configs: list[dict[str, Any]] = []
    for config in graph.of(_CONFIG):
        name, config_namespace = name_and_namespace(config)
        if config_namespace != namespace or not (name in names or config in referred_maps):
            continue
        data = config.inputs.get("data") or {}
        text = data if isinstance(data, str) else data.get("config.yaml")
        if text:
            parsed = load_config(text, config.name)
            configs += [parsed] if isinstance(parsed, dict) else []
    return configs


def sealers(graph: Graph) -> list[Sealer]:
    """Every sealer whose configuration can be read."""
    return [entry for entry in _sealers_and_unread(graph) if isinstance(entry, Sealer)]


def unread_pods(graph: Graph) -> list[Resource]:
    """Pods that are labelled as sealers and whose configuration cannot be read."""
    return [entry for entry in _sealers_and_unread(graph) if not isinstance(entry, Sealer)]


def _sealers_and_unread(graph: Graph) -> Iterator[Sealer | Resource]:
    for pod, template in graph.pods():
        labels = (template.get("metadata") or {}).get("labels") or {}
        namespace = name_and_namespace(pod)[1]
        try:
            configs = edge_configs(graph, namespace, template)
        except IsthmusError:
            if labels.get("isthmus.dev/role") == "sealer":
                yield pod
            continue
        for config in configs:
            if config.get("mode") == "sealer":
                aliases = (template.get("spec") or {}).get("hostAliases") or []
                yield Sealer(
                    name_and_namespace(pod)[0],
                    str(config.get("site")),
                    pod,
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
    """Find faults in the AWS identities of sealers, and other roles that may write to a write-once store."""
    roles_by_urn = {role_entry.resource.urn: role_entry for role_entry in roles(graph)}
    sealer_role_urns: set[str] = set()
    broken: list[Fault] = []
    for sealer in sealers(graph):
        if sealer.store.get("credentials"):
            continue  # an S3-compatible store on-prem has its own identities
        if not sealer.role:
            why = f"{sealer.name} has no AWS identity, and its store names no credentials"
            broken.append(Fault(why, sealer.resource))
            continue
        role_resources = [
            resource for resource in graph.referred(sealer.role, ":Role") if resource.urn in roles_by_urn
        ]
        if not role_resources:
            why = f"the role of {sealer.name} is not made here, and nothing says what it may"
            broken.append(Fault(why, sealer.resource, "undecided"))
        for role in (roles_by_urn[resource.urn] for resource in role_resources):
            sealer_role_urns.add(role.resource.urn)
            broken += _excess_permissions(sealer, role)
            broken += _reach_faults(graph, platform, sealer, role)
        broken += [
            Fault(f"{bearer} has the identity of {sealer.name}", sealer.resource)
            for bearer in _bearers(graph, sealer.role)
            if bearer != sealer.name
        ]
    sealer_role_urns |= {
        resource.urn for role in _roles_of_unread(graph) for resource in graph.referred(role, ":Role")
    }
    for role in roles_by_urn.values():
        if role.resource.urn not in sealer_role_urns:
            broken += _foreign_seal_faults(graph, role)
    return broken


def _roles_of_unread(graph: Graph) -> Iterator[str]:
    """Roles of pods and tasks whose configuration is unknown, so that they may be sealers.

    Other rules report these pods.
    """
    hidden = {resource.urn for resource in unread_pods(graph)}
    for pod, template in graph.pods():
        if pod.urn in hidden:
            yield identity(graph, name_and_namespace(pod)[1], template)
    for definition in graph.of(DEFINITION):
        if containers(definition) is None:
            yield str(definition.inputs.get("taskRoleArn") or "")


def _bearers(graph: Graph, role: str) -> Iterator[str]:
    """Pods and tasks with a role."""
    for pod, template in graph.pods():
        if identity(graph, name_and_namespace(pod)[1], template) == role:
            yield name_and_namespace(pod)[0]
    yield from (task.name for task in tasks(graph) if task.role == role)


def _excess_permissions(sealer: Sealer, role: Role) -> Iterator[Fault]:
    """Permissions of a sealer's role in addition to writing below its prefix."""
    resource_of_role = role.resource
    for name in role.hidden:
        yield Fault(
            f"{name} of role {role.name} is not known before it is made", resource_of_role, "undecided"
        )
    if role.unknown:
        yield Fault(
            f"role {role.name} has {', '.join(role.unknown)}, whose words are not known", resource_of_role
        )
    prefix = str(sealer.store.get("prefix") or "")
    for statement in _allowed(role):
        actions, resources = as_list(statement.get("Action")), as_list(statement.get("Resource"))
        if "NotAction" in statement:
            yield Fault(f"role {role.name} may all that it does not name, and seals", resource_of_role)
        for action in sorted(set(actions) - _ALLOWED_ACTIONS):
            yield Fault(
                f"role {role.name} of {sealer.name} may {action}, which sealing does not take",
                resource_of_role,
            )
        if set(actions) & {*SEAL_PUT, *SEAL_READ}:
            for resource in resources:
                if not prefix or not resource.endswith(f"/{prefix}/*"):
                    why = f"role {role.name} puts to {resource}, beyond {prefix or 'no prefix'} of {sealer.name}"
                    yield Fault(why, resource_of_role)


def _reach_faults(graph: Graph, platform: Platform | None, sealer: Sealer, role: Role) -> Iterator[Fault]:
    """Find addresses of the store in a sealer's pod that are not a private endpoint that allows the sealer."""
    objects = [
        resource
        for statement in _allowed(role)
        if "s3:PutObject" in as_list(statement.get("Action"))
        for resource in as_list(statement.get("Resource"))
    ]
    if not sealer.hosts:
        open_to = [
            endpoint_
            for endpoint_ in graph.of(_ENDPOINT)
            if str(endpoint_.inputs.get("serviceName")).endswith(".s3")
        ]
    else:
        addresses = {
            store.address for store in (platform.audit if platform else []) if store.site == sealer.site
        }
        if set(sealer.hosts) <= addresses:
            return  # the platform declares it as the organisation's own endpoint
        open_to = [
            endpoint_
            for endpoint_ in graph.of(_ENDPOINT)
            if set(sealer.hosts) <= set(fixed_addresses(endpoint_))
        ]
    if not open_to:
        where = ", ".join(sealer.hosts) or "its public name"
        yield Fault(
            f"{sealer.name} seals at {where}, which is no endpoint of S3 that is made here", sealer.resource
        )
    for endpoint in open_to:
        if all(
            allows_by_name(graph, endpoint, "aws:PrincipalArn", sealer.role, "s3:PutObject", resource_arn)
            for resource_arn in objects
        ):
            return
    for endpoint in open_to:
        why = f"the policy of {endpoint.name} does not let {sealer.name} put seals"
        yield Fault(why, sealer.resource, "undecided" if has_unread_policy(graph, endpoint) else "violated")


def fixed_addresses(endpoint: Resource) -> list[str]:
    """The addresses that an endpoint is given before it is created."""
    return [str(subnet.get("ipv4")) for subnet in endpoint.inputs.get("subnetConfigurations") or []]


def _foreign_seal_faults(graph: Graph, role: Role) -> Iterator[Fault]:
    """Permissions of other roles on sealed objects, whether a boundary restricts them or not."""
    for action in ("s3:PutObject", *REMOVE_ACTIONS):
        for statement in _allowed(role):
            actions = as_list(statement.get("Action"))
            if "NotAction" not in statement and not any(covers(pattern, action) for pattern in actions):
                continue
            stores = sorted(
                {name for resource in as_list(statement.get("Resource")) for name in _stores(graph, resource)}
            )
            if stores:
                why = f"role {role.name} seals nothing, and may {action} in {', '.join(stores)}"
                yield Fault(why, role.resource)
                break


def _stores(graph: Graph, resource: str) -> list[str]:
    """Write-once buckets that the resource of a policy covers."""
    locked = [bucket for bucket in graph.of("aws:s3/bucket:Bucket") if bucket.inputs.get("objectLockEnabled")]
    referred_buckets = graph.referred(resource, ":Bucket")
    is_wildcard = resource == "*" or resource.startswith(("arn:aws:s3:::*", "arn:*"))
    return [bucket.name for bucket in locked if is_wildcard or bucket in referred_buckets]
