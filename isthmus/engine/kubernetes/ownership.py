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
_CLUSTERS_OWN = {
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "openshift-service-ca.crt"),
    ("ServiceAccount", "default"),
}
_PASSING = {"Event", "Lease"}
"""What comes and goes by itself."""
_MAKES: Mapping[str, frozenset[str]] = {
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
_OWN_GROUPS = re.compile(
    r"^$|^(apps|batch|autoscaling|policy|extensions)$|^([a-z]+|rbac\.authorization)\.k8s\.io$"
)
"""The API server's own; `kueue.x-k8s.io` and `gateway.networking.k8s.io` are custom ones."""
_OPENS = re.compile(r"Policy|Route|Binding|Gateway|Ingress|Secret|Role")
"""Kinds of anybody's that no owner excuses, but for an owner that is a custom resource of ours."""
_DEEPEST = 6
_HELM = re.compile(r"sh\.helm\.release\.v1\.(.+)\.v\d+")


@dataclass
class Whose:
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
        by_uid = {str(each["metadata"].get("uid")): (kind, each) for kind, each in listed}
        found = [(kind, each) for kind, each in listed if not self._ours(kind, each, by_uid, 0)]
        return [(kind, each) for kind, each in found if not _made_by_another(kind, each, by_uid)]

    def _ours(self, kind: Kind, one: dict[str, Any], by_uid: Mapping[str, Any], depth: int) -> bool:
        meta = one["metadata"]
        space, name = meta.get("namespace", ""), meta["name"]
        if (kind.group, kind.kind, space, name) in self.known or kind.kind in _PASSING:
            return True
        if kind.group == "" and ((kind.kind, name) in _CLUSTERS_OWN or self._beside(kind, meta)):
            return True
        if self._helms(kind, meta):
            return True
        # No owner owns itself; a ring of owners is nobody's.
        return depth < _DEEPEST and any(
            self._comes_of(kind, each, by_uid, depth) for each in meta.get("ownerReferences") or []
        )

    def _comes_of(self, kind: Kind, owner: Mapping[str, Any], by_uid: Mapping[str, Any], depth: int) -> bool:
        above = _owner(kind, owner, by_uid)
        if above is not None:
            return self._ours(*above, by_uid, depth + 1)
        group, made_by = str(owner.get("apiVersion", "")).rpartition("/")[0], str(owner.get("kind"))
        # Of no namespace, or of one that is not listed: a state must know it.
        strange = str(owner.get("uid")) not in by_uid and not _OWN_GROUPS.search(group)
        return strange and (group, made_by, "", str(owner.get("name"))) in self.known

    def _beside(self, kind: Kind, meta: Mapping[str, Any]) -> bool:
        """What controllers make with no word of its owner."""
        space, name = meta.get("namespace", ""), meta["name"]
        if kind.kind == "Endpoints":
            return ("", "Service", space, name) in self.known
        if kind.kind == "PersistentVolumeClaim":
            stem, _, number = name.rpartition("-")
            return number.isdigit() and (space, stem) in self.claims
        if kind.kind == "Secret":
            asked = (meta.get("annotations") or {}).get("cert-manager.io/certificate-name")
            return asked is not None and self.certificates.get((space, name)) == asked
        return False

    def _helms(self, kind: Kind, meta: Mapping[str, Any]) -> bool:
        """What a release of a state's has made, and Helm's own record of it."""
        space, notes = meta.get("namespace", ""), meta.get("annotations") or {}
        record = _HELM.fullmatch(meta["name"]) if (kind.group, kind.kind) == ("", "Secret") else None
        if record:
            return (space, record[1]) in self.releases
        named = (notes.get("meta.helm.sh/release-namespace"), notes.get("meta.helm.sh/release-name"))
        return named in self.releases


def _owner(
    kind: Kind, owner: Mapping[str, Any], by_uid: Mapping[str, tuple[Kind, dict[str, Any]]]
) -> tuple[Kind, dict[str, Any]] | None:
    """The owner that an object names, where it is there and makes such objects."""
    above = by_uid.get(str(owner.get("uid")))
    if above is None:
        return None
    there, one = above
    group, made_by = str(owner.get("apiVersion", "")).rpartition("/")[0], str(owner.get("kind"))
    if (there.group, there.kind, one["metadata"]["name"]) != (group, made_by, owner.get("name")):
        return None
    if not _OWN_GROUPS.search(group):
        return above
    if made_by not in _MAKES:
        return None
    builtin = bool(_OWN_GROUPS.search(kind.group))
    fits = kind.kind in _MAKES[made_by] if builtin else not _OPENS.search(kind.kind)
    return above if fits else None


def _made_by_another(
    kind: Kind, one: dict[str, Any], by_uid: Mapping[str, tuple[Kind, dict[str, Any]]], depth: int = 0
) -> bool:
    """Whether it comes of an object that stands for itself; those in a ring of owners all do."""
    above = [_owner(kind, each, by_uid) for each in one["metadata"].get("ownerReferences") or []]
    for each in filter(None, above):
        owned = each[1]["metadata"].get("ownerReferences") or []
        if depth < _DEEPEST and (not owned or _made_by_another(*each, by_uid, depth + 1)):
            return True
    return False


def known(resources: Iterable[Any]) -> Whose:
    """What the states of an estate know of one cluster. `resources`: as `isthmus.graph.resources.state` has them."""
    found, releases, certificates, claims = (
        set[Known](),
        set[tuple[str, str]](),
        dict[tuple[str, str], str](),
        set(),
    )
    for each in resources:
        inputs = each.inputs
        if not each.custom or not each.type.startswith("kubernetes:"):
            continue
        if each.type.startswith("kubernetes:helm.sh/"):
            # What a release is called in the cluster is its id, `NAMESPACE/NAME`.
            space, _, name = each.id.rpartition("/")
            releases.add((space, name))
            continue
        group = str(inputs.get("apiVersion", "")).rpartition("/")[0]
        kind = str(inputs.get("kind", ""))
        space, _, name = each.id.rpartition("/")
        found.add((group, kind, space, name))
        spec = inputs.get("spec") if isinstance(inputs.get("spec"), dict) else {}
        if kind == "Certificate" and isinstance(spec.get("secretName"), str):
            certificates[space, spec["secretName"]] = name
        for template in spec.get("volumeClaimTemplates") or []:
            claims.add((space, f"{(template.get('metadata') or {}).get('name')}-{name}"))
    return Whose(found, releases, certificates, claims)
