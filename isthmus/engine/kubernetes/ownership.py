"""Whose is an object in a namespace of ours: a state's, what comes of a state's, the cluster's own, or somebody's.

`ownerReferences` are anybody's to write. They are believed where the owner has the uid that they name and makes such
children: a Secret that says a Deployment owns it is foreign, because Deployments make none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.engine.kubernetes.discovery import Kind

Known = tuple[str, str, str, str]
"""Group, kind, namespace (empty for what has none), name."""
_CLUSTER_OBJECTS = {
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "openshift-service-ca.crt"),
    ("ServiceAccount", "default"),
}
_TRANSIENT_KINDS = {"Event", "Lease"}
"""What comes and goes by itself."""
_CHILDREN_OF: Mapping[str, frozenset[str]] = {
    "Deployment": frozenset({"ReplicaSet"}),
    "ReplicaSet": frozenset({"Pod"}),
    "ReplicationController": frozenset({"Pod"}),
    "StatefulSet": frozenset({"Pod", "ControllerRevision", "PersistentVolumeClaim"}),
    "DaemonSet": frozenset({"Pod", "ControllerRevision"}),
    "CronJob": frozenset({"Job"}),
    "Job": frozenset({"Pod"}),
    "Service": frozenset({"EndpointSlice", "Endpoints"}),
    # A leader of a LeaderWorkerSet owns its workers.
    "Pod": frozenset({"StatefulSet", "ResourceClaim", "PersistentVolumeClaim"}),
}
"""Of the API server's own kinds, what their controllers make. What owns by a grant of ours (a Job that ends an
emergency access) is in the state itself."""
_BUILTIN_GROUPS = re.compile(
    r"^$|^(apps|batch|autoscaling|policy|extensions)$|^([a-z]+|rbac\.authorization)\.k8s\.io$"
)
"""The API server's own; `kueue.x-k8s.io` and `gateway.networking.k8s.io` are custom ones."""
_SENSITIVE_KINDS = re.compile(r"Policy|Route|Binding|Gateway|Ingress|Secret|Role")
"""Kinds of anybody's that no owner excuses, but for an owner that is a custom resource of ours."""
_MAX_DEPTH = 6
_HELM_RECORD = re.compile(r"sh\.helm\.release\.v1\.(.+)\.v\d+")


@dataclass
class Ownership:
    """What the states know, by cluster."""

    known: set[Known]
    releases: set[tuple[str, str]] = field(default_factory=set)
    """Namespace and name of Helm's releases."""
    certificates: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Namespace and name of a Secret → the Certificate of a state that asks for it."""
    claims: set[tuple[str, str]] = field(default_factory=set)
    """Namespace, and what the names of a StatefulSet's claims begin with."""

    def foreign(self, objects: Iterable[tuple[Kind, dict[str, Any]]]) -> list[tuple[Kind, dict[str, Any]]]:
        """Those that are nobody's of these, in the order given.

        What a foreign one has made by its controller is told with it: its ReplicaSets and Pods are not listed again.
        """
        listed = list(objects)
        by_uid = {
            str(metadata_object["metadata"].get("uid")): (kind, metadata_object)
            for kind, metadata_object in listed
        }
        foreign_objects = [
            (kind, metadata_object)
            for kind, metadata_object in listed
            if not self._ours(kind, metadata_object, by_uid, 0)
        ]
        return [
            (kind, metadata_object)
            for kind, metadata_object in foreign_objects
            if not _has_foreign_owner(kind, metadata_object, by_uid)
        ]

    def _ours(
        self, kind: Kind, metadata_object: dict[str, Any], by_uid: Mapping[str, Any], depth: int
    ) -> bool:
        metadata = metadata_object["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if (kind.group, kind.kind, namespace, name) in self.known or kind.kind in _TRANSIENT_KINDS:
            return True
        if kind.group == "" and ((kind.kind, name) in _CLUSTER_OBJECTS or self._beside(kind, metadata)):
            return True
        if self._helms(kind, metadata):
            return True
        # No owner owns itself; a ring of owners is nobody's.
        return depth < _MAX_DEPTH and any(
            self._comes_of(kind, reference, by_uid, depth)
            for reference in metadata.get("ownerReferences") or []
        )

    def _comes_of(
        self, kind: Kind, reference: Mapping[str, Any], by_uid: Mapping[str, Any], depth: int
    ) -> bool:
        owner = _listed_owner(kind, reference, by_uid)
        if owner is not None:
            return self._ours(*owner, by_uid, depth + 1)
        group, owner_kind = (
            str(reference.get("apiVersion", "")).rpartition("/")[0],
            str(reference.get("kind")),
        )
        # Of no namespace, or of one that is not listed: a state must know it.
        is_unlisted = str(reference.get("uid")) not in by_uid and not _BUILTIN_GROUPS.search(group)
        return is_unlisted and (group, owner_kind, "", str(reference.get("name"))) in self.known

    def _beside(self, kind: Kind, metadata: Mapping[str, Any]) -> bool:
        """What controllers make with no word of its owner."""
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if kind.kind == "Endpoints":
            return ("", "Service", namespace, name) in self.known
        if kind.kind == "PersistentVolumeClaim":
            stem, _, number = name.rpartition("-")
            return number.isdigit() and (namespace, stem) in self.claims
        if kind.kind == "Secret":
            certificate = (metadata.get("annotations") or {}).get("cert-manager.io/certificate-name")
            return certificate is not None and self.certificates.get((namespace, name)) == certificate
        return False

    def _helms(self, kind: Kind, metadata: Mapping[str, Any]) -> bool:
        """What a release of a state's has made, and Helm's own record of it."""
        namespace, annotations = metadata.get("namespace", ""), metadata.get("annotations") or {}
        record = (
            _HELM_RECORD.fullmatch(metadata["name"]) if (kind.group, kind.kind) == ("", "Secret") else None
        )
        if record:
            return (namespace, record[1]) in self.releases
        release = (
            annotations.get("meta.helm.sh/release-namespace"),
            annotations.get("meta.helm.sh/release-name"),
        )
        return release in self.releases


def _listed_owner(
    kind: Kind, reference: Mapping[str, Any], by_uid: Mapping[str, tuple[Kind, dict[str, Any]]]
) -> tuple[Kind, dict[str, Any]] | None:
    """The owner that an object names, where it is there and makes such objects."""
    listed_owner = by_uid.get(str(reference.get("uid")))
    if listed_owner is None:
        return None
    listed_kind, listed_object = listed_owner
    group, owner_kind = str(reference.get("apiVersion", "")).rpartition("/")[0], str(reference.get("kind"))
    if (listed_kind.group, listed_kind.kind, listed_object["metadata"]["name"]) != (
        group,
        owner_kind,
        reference.get("name"),
    ):
        return None
    if not _BUILTIN_GROUPS.search(group):
        return listed_owner
    if owner_kind not in _CHILDREN_OF:
        return None
    builtin = bool(_BUILTIN_GROUPS.search(kind.group))
    fits = kind.kind in _CHILDREN_OF[owner_kind] if builtin else not _SENSITIVE_KINDS.search(kind.kind)
    return listed_owner if fits else None


def _has_foreign_owner(
    kind: Kind,
    metadata_object: dict[str, Any],
    by_uid: Mapping[str, tuple[Kind, dict[str, Any]]],
    depth: int = 0,
) -> bool:
    """Whether it comes of an object that stands for itself; those in a ring of owners all do."""
    owners = [
        _listed_owner(kind, reference, by_uid)
        for reference in metadata_object["metadata"].get("ownerReferences") or []
    ]
    for listed_owner in filter(None, owners):
        owner_references = listed_owner[1]["metadata"].get("ownerReferences") or []
        if depth < _MAX_DEPTH and (
            not owner_references or _has_foreign_owner(*listed_owner, by_uid, depth + 1)
        ):
            return True
    return False


def ownership_of(resources: Iterable[Any]) -> Ownership:
    """What the states of an estate know of one cluster. `resources`: as `isthmus.graph.resources.state` has them."""
    known_objects, releases, certificates, claims = (
        set[Known](),
        set[tuple[str, str]](),
        dict[tuple[str, str], str](),
        set(),
    )
    for resource in resources:
        inputs = resource.inputs
        if not resource.custom or not resource.type.startswith("kubernetes:"):
            continue
        if resource.type.startswith("kubernetes:helm.sh/"):
            # What a release is called in the cluster is its id, `NAMESPACE/NAME`.
            namespace, _, name = resource.id.rpartition("/")
            releases.add((namespace, name))
            continue
        group = str(inputs.get("apiVersion", "")).rpartition("/")[0]
        kind = str(inputs.get("kind", ""))
        namespace, _, name = resource.id.rpartition("/")
        known_objects.add((group, kind, namespace, name))
        spec = inputs.get("spec") if isinstance(inputs.get("spec"), dict) else {}
        if kind == "Certificate" and isinstance(spec.get("secretName"), str):
            certificates[namespace, spec["secretName"]] = name
        for template in spec.get("volumeClaimTemplates") or []:
            claims.add((namespace, f"{(template.get('metadata') or {}).get('name')}-{name}"))
    return Ownership(known_objects, releases, certificates, claims)
