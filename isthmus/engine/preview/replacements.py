"""Which changed properties have a provider make a resource anew, where no provider is there to be asked.

Kubernetes: what pulumi-kubernetes 4.34 does (`provider/pkg/provider/diff.go`), and what an API server refuses to
change in place. AWS: `data/aws_replaces.json`, written from the table of the sandbox's provider by
`python -m scripts.aws_replaces`. What neither knows is said to be unknown.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.engine.preview.value_diff import path_keys

_EVERY_KIND = ("metadata.name", "metadata.namespace")
_ROLE_REF = ("roleRef",)
_KUBERNETES_FORCING: dict[str, tuple[str, ...]] = {
    "core/v1:ConfigMap": ("data", "binaryData"),
    "core/v1:Secret": ("data", "stringData", "type"),
    "core/v1:PersistentVolumeClaim": ("spec",),
    "core/v1:ResourceQuota": ("spec.scopes",),
    "core/v1:Service": ("spec.clusterIP",),
    "core/v1:Pod": ("spec",),
    "apps/v1:Deployment": ("spec.selector",),
    "apps/v1:StatefulSet": (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    "batch/v1:Job": ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    "rbac.authorization.k8s.io/v1:RoleBinding": _ROLE_REF,
    "rbac.authorization.k8s.io/v1:ClusterRoleBinding": _ROLE_REF,
    "storage.k8s.io/v1:StorageClass": ("parameters", "provisioner"),
}
_KUBERNETES_REFUSED: dict[str, tuple[str, ...]] = {
    # The provider asks for an update, and the API server has none of it: who knows how it ends.
    "apps/v1:DaemonSet": ("spec.selector",),
    "core/v1:PersistentVolume": ("spec",),
    "storage.k8s.io/v1:StorageClass": ("reclaimPolicy", "volumeBindingMode", "mountOptions"),
}
_AWS_TABLE_FILE = Path(__file__).parent / "data" / "aws_replaces.json"


@dataclass(frozen=True)
class Forced:
    """What is known of the changed properties of one resource."""

    certain: list[str]
    """They force a replacement."""
    maybe: list[str]
    """Nobody here knows."""


def forced_replacements(type_: str, paths: Iterable[str], replace_on: Sequence[str] = ()) -> Forced:
    """Of the changed `paths`, those that force a replacement. `replace_on`: the option `replaceOnChanges`."""
    certain, maybe = [], []
    for path in sorted(set(paths)):
        if any(pattern == "*" or overlaps(path, pattern) for pattern in replace_on):
            certain.append(path)
            continue
        is_forced = _forces_replacement(type_, path)
        if is_forced:
            certain.append(path)
        elif is_forced is None:
            maybe.append(path)
    return Forced(certain, maybe)


def _forces_replacement(type_: str, path: str) -> bool | None:
    if type_.startswith("kubernetes:"):
        return _kubernetes_forces(type_.removeprefix("kubernetes:"), path)
    if type_.startswith("aws:"):
        return _aws_forces(type_, path)
    # The program itself holds the others' rules: components and providers are not asked here.
    return None


def _kubernetes_forces(kind: str, path: str) -> bool | None:
    if any(overlaps(path, pattern) for pattern in (*_EVERY_KIND, *_KUBERNETES_FORCING.get(kind, ()))):
        return True
    return None if any(overlaps(path, pattern) for pattern in _KUBERNETES_REFUSED.get(kind, ())) else False


def _aws_forces(type_: str, path: str) -> bool | None:
    properties = _aws_table().get(type_)
    steps = path_keys(path)
    if properties is None or not steps:
        return None
    if steps[0] in properties["replaces"]:
        return True
    return False if steps[0] in properties["updates"] else None


def overlaps(path: str, pattern: str) -> bool:
    """Whether the one path is the other's, lies in it, or holds it."""
    own_keys, pattern_keys = path_keys(path), path_keys(pattern)
    # A change that takes the parent away takes the part with it.
    short = min(len(own_keys), len(pattern_keys))
    return short > 0 and own_keys[:short] == pattern_keys[:short]


@functools.cache
def _aws_table() -> dict[str, dict[str, list[str]]]:
    return json.loads(_AWS_TABLE_FILE.read_text("utf-8"))
