"""Finds what others added to the live objects of a stack and `isthmus up` sets back.

Two groups of kinds. In objects that hold a boundary (network policies, RBAC, admission) every entry that the stack does
not set is foreign. In namespaces, workloads and their services an entry is foreign if the policies refuse the object
with it. `isthmus preview` shows both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

from isthmus.core.kubernetes_client import KubeClient
from isthmus.engine.drift import kubernetes_fields
from isthmus.engine.drift import severity as drift_severity
from isthmus.engine.drift.data_paths import field_managers
from isthmus.engine.drift.kubernetes_fields import FieldDifference
from isthmus.engine.drift.kubernetes_objects import is_object, without_server_fields
from isthmus.engine.foreign.entry import Foreign
from isthmus.engine.foreign.restoring import restored
from isthmus.engine.foreign.role_policies import RolePolicies
from isthmus.engine.foreign.security_groups import SecurityGroups
from isthmus.engine.kubernetes import managed_fields
from isthmus.engine.kubernetes.stack_objects import ServedKind, read_objects
from isthmus.graph.resources import state as graph_state
from isthmus.graph.resources.state import Stated

if TYPE_CHECKING:
    from isthmus.contracts.trust import Trust

State = Mapping[str, Any]
Refused = Callable[[Sequence[Stated], Sequence[Stated]], frozenset[str]]
"""The policies: resources without and with foreign entries → URNs of what they refuse because of these entries."""

_RBAC, _ADMISSION = "rbac.authorization.k8s.io/v1", "admissionregistration.k8s.io/v1"
BOUNDARY_KINDS: Mapping[str, ServedKind] = {
    "NetworkPolicy": ServedKind("networking.k8s.io/v1", "networkpolicies"),
    "Role": ServedKind(_RBAC, "roles"),
    "RoleBinding": ServedKind(_RBAC, "rolebindings"),
    "ClusterRole": ServedKind(_RBAC, "clusterroles", namespaced=False),
    "ClusterRoleBinding": ServedKind(_RBAC, "clusterrolebindings", namespaced=False),
    "ValidatingAdmissionPolicy": ServedKind(_ADMISSION, "validatingadmissionpolicies", namespaced=False),
    "ValidatingAdmissionPolicyBinding": ServedKind(
        _ADMISSION, "validatingadmissionpolicybindings", namespaced=False
    ),
}
"""Kinds whose every entry belongs to the stack that created the object."""
JUDGED_KINDS: Mapping[str, ServedKind] = {
    "Namespace": ServedKind("v1", "namespaces", namespaced=False),
    "Service": ServedKind("v1", "services"),
    "ServiceAccount": ServedKind("v1", "serviceaccounts"),
    "Deployment": ServedKind("apps/v1", "deployments"),
    "StatefulSet": ServedKind("apps/v1", "statefulsets"),
    "DaemonSet": ServedKind("apps/v1", "daemonsets"),
    "CronJob": ServedKind("batch/v1", "cronjobs"),
}
"""Kinds to which others may add what the policies allow."""
KINDS: Mapping[str, ServedKind] = {**BOUNDARY_KINDS, **JUDGED_KINDS}


UNNAMED = "an admission webhook or another writer that the API server does not name"
"""The author of entries that no field manager claims."""


@dataclass(frozen=True)
class ForeignObject(Foreign):
    """A Kubernetes object of the stack with foreign entries."""

    cluster: KubeClient
    live: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.resource.inputs["kind"])

    @property
    def path(self) -> str:
        return KINDS[self.kind].object_path(self.resource)

    @property
    def label(self) -> str:
        return f"{self.kind} {self.resource.id} in {self.cluster.context}"

    @property
    def managers(self) -> str:
        names = sorted({manager for entry in self.entries for manager in entry.by})
        return ", ".join(f"`{name}`" for name in names) or UNNAMED

    def restored(self) -> dict[str, Any]:
        """The live object without the foreign entries."""
        return restored(self.live, self.resource.inputs, self.entries)


@dataclass
class Found:
    """The result of a look at the clusters and accounts."""

    objects: list[Foreign] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """What could not be read, so that its foreign entries are unknown."""


@dataclass
class ForeignEntries:
    """The search for foreign entries of one stack."""

    state: State
    siblings: Callable[[], Sequence[State]]
    """Reads the states of the other stacks of its estate, if something differs."""
    clusters: Mapping[str, KubeClient]
    """Name of a Kubernetes provider (the site's name) → its cluster."""
    trust: Trust
    today: date
    refused: Refused
    roles: RolePolicies | None = None
    """The search on the stack's roles in AWS."""
    groups: SecurityGroups | None = None
    """The search in the stack's security groups in AWS."""

    def find(self, urns: Iterable[str] | None = None) -> Found:
        """Look at the live objects; with `urns`, at these only."""
        found = Found()
        wanted = None if urns is None else set(urns)
        candidates: list[ForeignObject] = []
        for site, resources in sorted(self._by_site().items()):
            if wanted is not None:
                resources = [resource for resource in resources if resource.urn in wanted]
            cluster = self.clusters.get(site)
            if cluster is None or not resources:
                continue
            objects, unread = read_objects(cluster, resources, KINDS)
            found.unread += unread
            for resource in resources:
                live = objects.get(resource.urn)
                if live is not None and not live["metadata"].get("deletionTimestamp"):
                    candidates += self.compare(resource, cluster, live)
        found.objects += self._foreign(candidates)
        if self.roles is not None:
            roles, unread = self.roles.find(wanted)
            found.objects += roles
            found.unread += unread
        if self.groups is not None:
            groups, unread = self.groups.find(self._is_refused, wanted)
            found.objects += groups
            found.unread += unread
        return found

    def compare(self, resource: Stated, cluster: KubeClient, live: Mapping[str, Any]) -> list[ForeignObject]:
        """The object with its differences, if it has any that may be set back."""
        is_boundary = resource.inputs["kind"] in BOUNDARY_KINDS
        fields = managed_fields.parse_fields((live.get("metadata") or {}).get("managedFields"))
        own_managers = self._own_managers(resource)
        compare = kubernetes_fields.compare_exactly if is_boundary else kubernetes_fields.compare_fields
        entries = tuple(
            difference
            for difference in compare(resource.inputs, live, fields, own_managers)
            if self._is_foreign(resource, difference, is_boundary=is_boundary)
        )
        return [ForeignObject(resource, entries, cluster, live)] if entries else []

    def _is_foreign(self, resource: Stated, difference: FieldDifference, *, is_boundary: bool) -> bool:
        path = difference.path
        if drift_severity.is_controller_written(resource.type, path) or path == kubernetes_fields.CLAIMS:
            return False
        if path == "rules" and "aggregationRule" in resource.inputs:
            return False
        if difference.old is None and difference.by and difference.by <= self._estate_managers(resource):
            return False
        if not is_boundary and path == "spec.replicas":
            return False
        # The client chooses the manager's name, so a name alone opens no boundary.
        may_be_trusted = not is_boundary or path.startswith(("metadata.labels", "metadata.annotations"))
        is_trusted = bool(difference.by) and all(
            self.trust.find("managers", manager, self.today) for manager in difference.by
        )
        return not (may_be_trusted and is_trusted)

    def _foreign(self, candidates: list[ForeignObject]) -> list[ForeignObject]:
        """The candidates of boundary kinds, and those that the policies refuse."""
        judged = [candidate for candidate in candidates if candidate.kind in JUDGED_KINDS]
        refused = self._refused_urns(judged) if judged else frozenset()
        return [
            candidate
            for candidate in candidates
            if candidate.kind in BOUNDARY_KINDS or candidate.resource.urn in refused
        ]

    def _refused_urns(self, candidates: Sequence[ForeignObject]) -> frozenset[str]:
        refused = self.refused(*self._without_and_with(candidates))
        if not refused or len(candidates) == 1:
            return frozenset(candidate.resource.urn for candidate in candidates) if refused else refused
        # A finding may name another resource than the one that was changed.
        return frozenset(
            candidate.resource.urn
            for candidate in candidates
            if self.refused(*self._without_and_with([candidate]))
        )

    def _is_refused(self, resource: Stated) -> bool:
        """Whether the policies refuse the stack with one resource more."""
        return bool(self.refused(self._estate, [*self._estate, resource]))

    def _without_and_with(
        self, candidates: Sequence[ForeignObject]
    ) -> tuple[Sequence[Stated], Sequence[Stated]]:
        restored_inputs = {
            candidate.resource.urn: without_server_fields(candidate.restored()) for candidate in candidates
        }
        live_inputs = {
            candidate.resource.urn: without_server_fields(candidate.live) for candidate in candidates
        }
        return self._resources(restored_inputs), self._resources(live_inputs)

    def _resources(self, inputs: Mapping[str, Mapping[str, Any]]) -> Sequence[Stated]:
        return [
            dataclasses.replace(resource, inputs=dict(inputs[resource.urn]))
            if resource.urn in inputs
            else resource
            for resource in self._estate
        ]

    def _by_site(self) -> dict[str, list[Stated]]:
        by_site: dict[str, list[Stated]] = {}
        for resource in graph_state.from_state_with_ids({"deployment": self.state}) if self.state else []:
            is_known_kind = (
                is_object(resource)
                and not resource.type.endswith("Patch")
                and KINDS.get(str(resource.inputs["kind"]), ServedKind("", "")).api_version
                == resource.inputs["apiVersion"]
            )
            if is_known_kind:
                by_site.setdefault((resource.provider or "").rsplit("::", 1)[-1], []).append(resource)
        return by_site

    @cached_property
    def _states(self) -> list[State]:
        return [state for state in (self.state, *self.siblings()) if state.get("resources")]

    @cached_property
    def _estate(self) -> list[Stated]:
        return graph_state.from_state(*({"deployment": state} for state in self._states))

    @cached_property
    def _managers(self) -> Mapping[str, frozenset[str]]:
        return field_managers([self.state])

    def field_manager(self, resource: Stated) -> str:
        """The field manager with which the engine applies the object; empty if the state does not name one."""
        return next(iter(sorted(self._own_managers(resource))), "")

    def _own_managers(self, resource: Stated) -> frozenset[str]:
        return self._managers.get(resource.urn, frozenset())

    def _estate_managers(self, resource: Stated) -> frozenset[str]:
        """Field managers of the other resources of the estate that set fields of the object, its patches included."""
        key = (resource.inputs["kind"], resource.id)
        return self._managers_by_object.get(key, frozenset()) - self._own_managers(resource)

    @cached_property
    def _managers_by_object(self) -> Mapping[tuple[Any, str], frozenset[str]]:
        managers_by_urn = field_managers(self._states)
        by_object: dict[tuple[Any, str], frozenset[str]] = {}
        for resource in graph_state.from_state_with_ids(*({"deployment": state} for state in self._states)):
            if is_object(resource):
                key = (resource.inputs["kind"], resource.id)
                by_object[key] = by_object.get(key, frozenset()) | managers_by_urn.get(
                    resource.urn, frozenset()
                )
        return by_object
