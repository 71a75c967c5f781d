"""Finds changed and missing Kubernetes objects of a stack, and foreign objects in its namespaces."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.reports.drift import Drifted, Unseen, What
from isthmus.contracts.reports.preview import PropertyChange
from isthmus.core.kubernetes_client import ApiRefusal
from isthmus.core.pulumi_values import MASK
from isthmus.engine.drift import kubernetes_fields
from isthmus.engine.drift import severity as drift_severity
from isthmus.engine.drift.kubernetes_fields import FieldDifference
from isthmus.engine.drift.kubernetes_pods import find_changed_pods
from isthmus.engine.kubernetes import managed_fields
from isthmus.engine.kubernetes import ownership as kubernetes_ownership
from isthmus.engine.kubernetes.discovery import Kind, Live
from isthmus.engine.preview.masking import Masker
from isthmus.engine.preview.noise import is_noise
from isthmus.engine.preview.stateful_types import is_stateful
from isthmus.graph.resources.state import Stated

_CONTENT_HIDDEN = ("Secret", "ConfigMap")
"""Kinds whose content is not shown for foreign objects, only their keys."""
_SHOWN_SECTIONS = ("spec", "subjects", "roleRef", "rules", "webhooks", "secrets", "imagePullSecrets")
"""Sections of a foreign object that are reported."""
_PATCH_SUFFIX = ("Patch",)
"""Suffix of patch types. Only the fields that the patch sets are compared, since others own the object."""

_FIELD_CATEGORIES: tuple[What, ...] = ("changed", "added")


@dataclass
class LiveObjects:
    """Results from one cluster."""

    drifts: list[Drifted] = field(default_factory=list)
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """URN → live object, for objects that differ from the state."""
    gone: set[str] = field(default_factory=set)
    foreign: list[Stated] = field(default_factory=list)
    """Foreign objects, as resources for the graph."""
    unseen: list[Unseen] = field(default_factory=list)
    looked: set[str] = field(default_factory=set)
    """URNs that were read."""


@dataclass
class Cluster:
    """One cluster, and the resources of the states in it."""

    live: Live
    own: Sequence[Stated]
    """The stack's resources."""
    every: Sequence[Stated]
    """Resources of its whole estate."""
    managers: Mapping[str, frozenset[str]]
    """URN → field managers with which the engine applies it."""
    masker: Masker

    def look(self) -> LiveObjects:
        """Read the objects and namespaces of the stack, and compare them with the state."""
        live_objects = LiveObjects(unseen=self.live.unseen)
        resources = [resource for resource in self.own if is_object(resource)]
        sharing = self._sharing()
        for resource, answer in zip(resources, self.live.each(self._read, resources), strict=True):
            if isinstance(answer, Unseen):
                live_objects.unseen.append(answer)
                continue
            live_objects.looked.add(resource.urn)
            if answer is None:
                live_objects.gone.add(resource.urn)
                live_objects.drifts.append(
                    self._gone(resource, "Isthmus created it, but it no longer exists")
                )
            elif (answer.get("metadata") or {}).get("deletionTimestamp"):
                live_objects.drifts.append(self._gone(resource, "it is being deleted"))
            else:
                self._compare(resource, answer, sharing, live_objects)
        self._strange(live_objects)
        return live_objects

    def _read(self, resource: Stated) -> dict[str, Any] | Unseen | None:
        kind = self.live.kind(str(resource.inputs["apiVersion"]), str(resource.inputs["kind"]))
        if kind is None:
            is_undiscovered = any(unseen.what.startswith("kinds of") for unseen in self.live.unseen)
            return self._unseen(resource, "the API server did not list its kind") if is_undiscovered else None
        namespace, _, name = resource.id.rpartition("/")
        try:
            return self.live.one(kind, namespace or None, name, full=kind.kind != "Secret")
        except ApiRefusal as refused:
            return self._unseen(resource, refused.reason)

    def _unseen(self, resource: Stated, why: str) -> Unseen:
        return Unseen(
            what=f"{resource.inputs['kind']} {resource.id}", where=self.live.cluster.context, why=why
        )

    def _sharing(self) -> dict[tuple[str, str], frozenset[str]]:
        """Kind and id of an object → all field managers of Isthmus, because several resources may set its fields."""
        managers: dict[tuple[str, str], frozenset[str]] = {}
        for resource in self.every:
            if is_object(resource):
                key = (str(resource.inputs["kind"]), resource.id)
                managers[key] = managers.get(key, frozenset()) | self.managers.get(resource.urn, frozenset())
        return managers

    def _gone(self, resource: Stated, why: str) -> Drifted:
        return Drifted(
            **self._named(resource),
            op="delete",
            what="gone",
            severity=drift_severity.severity_of("gone", resource.type),
            why=why,
        )

    def _compare(
        self,
        resource: Stated,
        live: dict[str, Any],
        sharing: Mapping[tuple[str, str], frozenset[str]],
        live_objects: LiveObjects,
    ) -> None:
        fields = managed_fields.parse_fields((live.get("metadata") or {}).get("managedFields"))
        own_managers = sharing.get((str(resource.inputs["kind"]), resource.id), frozenset())
        if resource.inputs["kind"] == "Secret":
            desired, live_fields = _keys_of_secret(resource.inputs, live, fields, own_managers)
        else:
            desired, live_fields = resource.inputs, live
        differences = kubernetes_fields.compare_fields(desired, live_fields, fields, own_managers)
        is_patch = resource.type.endswith(_PATCH_SUFFIX)
        relevant = [
            difference
            for difference in differences
            if not drift_severity.is_controller_written(resource.type, difference.path)
            # The field is set by another resource of the stack.
            and not (
                difference.what == "added"
                and difference.by
                and difference.by <= own_managers
                and self._also(resource)
            )
            and not (is_patch and (difference.what == "added" or difference.old is None))
        ]
        scalers = [resource.inputs for resource in self.every if resource.inputs.get("kind") in _SCALERS]
        by_reason: dict[str, list[FieldDifference]] = {}
        for difference in relevant:
            reason = drift_severity.reason_for_scaling(
                resource.type, resource.inputs, difference.path, difference.new, scalers
            )
            by_reason.setdefault(reason, []).append(difference)
        for reason, group in sorted(by_reason.items()):
            for category in _FIELD_CATEGORIES:
                of_category = [difference for difference in group if difference.what == category]
                if of_category:
                    live_objects.drifts.append(self._differs(resource, category, of_category, fields, reason))
        if relevant and resource.inputs["kind"] != "Secret":
            live_objects.inputs[resource.urn] = without_server_fields(live)

    def _also(self, resource: Stated) -> bool:
        """Whether several resources of the estate set fields of the object."""
        key = (resource.inputs["kind"], resource.id)
        return (
            sum(
                is_object(other_resource) and (other_resource.inputs["kind"], other_resource.id) == key
                for other_resource in self.every
            )
            > 1
        )

    def _differs(
        self,
        resource: Stated,
        category: What,
        differences: Sequence[FieldDifference],
        fields: managed_fields.Fields,
        reason: str,
    ) -> Drifted:
        properties = [self._property(resource.type, difference) for difference in differences]
        managers = sorted({manager for difference in differences for manager in difference.by})
        return Drifted(
            **self._named(resource),
            op="update",
            what=category,
            properties=sorted(properties, key=lambda property: property.path),
            severity=drift_severity.severity_of(category, resource.type, properties),
            by=[self.masker.text(manager_name) for manager_name in managers],
            since=max((fields.since.get(manager_name, "") for manager_name in managers), default=""),
            expected=reason,
            why="a value that Isthmus sets has changed"
            if category == "changed"
            else "a field that Isthmus does not set was added",
        )

    def _property(self, type_: str, difference: FieldDifference) -> PropertyChange:
        old, new = (
            self.masker.field(difference.path, difference.old),
            self.masker.field(difference.path, difference.new),
        )
        hidden = MASK in json.dumps([old, new], default=str)
        if hidden and old is not None and new is not None:
            old = new = MASK
        return PropertyChange(
            path=self.masker.text(difference.path),
            old=old,
            new=new,
            secret=hidden,
            noise=is_noise(type_, difference.path),
        )

    def _named(self, resource: Stated) -> dict[str, Any]:
        namespace = resource.id.rpartition("/")[0]
        parents = {parent.urn: parent.name for parent in self.own}
        return {
            "urn": resource.urn,
            "type": resource.type,
            "name": resource.name,
            "component": parents.get(resource.parent or "", ""),
            "stateful": is_stateful(resource.type),
            "where": self._where(namespace),
        }

    def _where(self, namespace: str) -> str:
        context = self.live.cluster.context
        return f"{context}, namespace {namespace}" if namespace else context

    def _strange(self, live_objects: LiveObjects) -> None:
        """Find foreign objects and changed pods in the stack's namespaces."""
        namespaces = {
            resource.id: resource
            for resource in self.own
            if resource.type.endswith(":Namespace") and is_object(resource)
        }
        existing = {name for name, resource in namespaces.items() if resource.urn not in live_objects.gone}
        ownership = kubernetes_ownership.ownership_of(self.every)
        objects = self.live.objects(existing)
        for kind, metadata in ownership.foreign(objects):
            live_objects.drifts.append(self._foreign(kind, metadata, namespaces, live_objects))
        live_objects.drifts += find_changed_pods(
            self.live, existing, objects, ownership, self.masker, self._where
        )

    def _foreign(
        self, kind: Kind, partial: dict[str, Any], namespaces: Mapping[str, Stated], live_objects: LiveObjects
    ) -> Drifted:
        metadata = partial["metadata"]
        namespace, name = str(metadata.get("namespace", "")), str(metadata["name"])
        fields = managed_fields.parse_fields(metadata.get("managedFields"))
        content = self._content(kind, partial, live_objects)
        if kind.kind in _CONTENT_HIDDEN:
            content["data"] = dict.fromkeys(sorted(_owned_data_keys(fields)), MASK)
        namespace_resource = namespaces[namespace]
        urn = f"{namespace_resource.urn.rsplit('::', 2)[0]}::{kind.type}::{namespace}/{name}"
        live_objects.foreign.append(
            Stated(
                urn, kind.type, name, content, provider=namespace_resource.provider, id=f"{namespace}/{name}"
            )
        )
        return Drifted(
            urn=self.masker.text(urn),
            op="create",
            what="foreign",
            type=kind.type,
            name=self.masker.text(name),
            properties=[
                property.model_copy(update={"path": self.masker.text(property.path)})
                for property in self._shown_properties(kind, content)
            ],
            severity=drift_severity.severity_of("foreign", kind.type),
            stateful=is_stateful(kind.type),
            where=self._where(namespace),
            by=[self.masker.text(manager) for manager in sorted(fields.since)],
            since=max([str(metadata.get("creationTimestamp") or ""), *fields.since.values()]),
            why="it is in a namespace of this stack, but is in no state",
        )

    def _content(self, kind: Kind, partial: dict[str, Any], live_objects: LiveObjects) -> dict[str, Any]:
        """The object without the server's fields; only its metadata if it is secret or cannot be read."""
        metadata = partial["metadata"]
        namespace, name = str(metadata.get("namespace", "")), str(metadata["name"])
        full_object: dict[str, Any] | None = {}
        if kind.kind not in _CONTENT_HIDDEN:
            try:
                full_object = self.live.one(kind, namespace, name)
            except ApiRefusal as refused:
                where = self._where(namespace)
                live_objects.unseen.append(
                    Unseen(what=f"{kind.kind} {name}", where=where, why=refused.reason)
                )
        if full_object:
            return without_server_fields(full_object)
        return {"apiVersion": kind.api_version, "kind": kind.kind, **without_server_fields(partial)}

    def _shown_properties(self, kind: Kind, content: Mapping[str, Any]) -> list[PropertyChange]:
        """The object's sections with secrets masked; of a secret object the keys of its data."""
        if kind.kind in _CONTENT_HIDDEN:
            return [
                PropertyChange(path=f"data[{json.dumps(key)}]", new=MASK, secret=True)
                for key in content["data"]
            ]
        sections = [
            (key, self.masker.field(key, content[key])) for key in sorted(_SHOWN_SECTIONS) if key in content
        ]
        return [
            PropertyChange(path=key, new=value, secret=MASK in json.dumps(value, default=str))
            for key, value in sections
        ]


_SCALERS = ("ScaledObject", "HorizontalPodAutoscaler")


def is_object(resource: Stated) -> bool:
    """Whether it is a single Kubernetes object that the stack creates or patches, not a Helm chart."""
    return (
        resource.made
        and resource.type.startswith("kubernetes:")
        and "kind" in resource.inputs
        and "apiVersion" in resource.inputs
    )


def without_server_fields(live: Mapping[str, Any]) -> dict[str, Any]:
    """An object without its status and without metadata that only the API server writes."""
    content = copy.deepcopy({key: value for key, value in live.items() if key != "status"})
    metadata = content.get("metadata") or {}
    kept_fields = ("name", "namespace", "labels", "annotations", "ownerReferences")
    content["metadata"] = {key: metadata[key] for key in kept_fields if key in metadata}
    return content


def _owned_keys(fields: managed_fields.Fields, section_name: str) -> dict[str, managed_fields.Owned]:
    section = fields.tree.name(section_name)
    return {step.text: owned for step, owned in section.below.items() if step.sort == "f"} if section else {}


def _owned_data_keys(fields: managed_fields.Fields) -> list[str]:
    """Keys of the data of a Secret or ConfigMap, by its managed fields: its data is never read."""
    return [name for section in ("data", "stringData", "binaryData") for name in _owned_keys(fields, section)]


def _keys_of_secret(
    inputs: Mapping[str, Any],
    live: Mapping[str, Any],
    fields: managed_fields.Fields,
    own_managers: Iterable[str],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The desired and the live Secret, with keys only; its data is never read.

    A changed key is recognised by another field manager that owns it.
    """
    live_keys = {
        key: owned
        for section in ("data", "stringData")
        for key, owned in _owned_keys(fields, section).items()
    }
    stated_keys: set[str] = set()
    for part in ("data", "stringData"):
        values = inputs.get(part)
        # If the whole map is a secret, the keys owned by Isthmus are its keys.
        stated_keys |= set(values) if isinstance(values, Mapping) else set()
        if isinstance(values, str):
            stated_keys |= {key for key, owned in live_keys.items() if owned.all() & set(own_managers)}
    identity = {key: value for key, value in inputs.items() if key in ("apiVersion", "kind", "metadata")}
    return (
        {**identity, "data": dict.fromkeys(sorted(stated_keys), MASK)},
        {"metadata": live.get("metadata") or {}, "data": dict.fromkeys(sorted(live_keys), MASK)},
    )
