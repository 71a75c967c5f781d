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

from isthmus.engine.preview.value_diff import keys

_ANY_OBJECT = ("metadata.name", "metadata.namespace")
_ROLE_REF = ("roleRef",)
_KUBERNETES: dict[str, tuple[str, ...]] = {
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
_REFUSED: dict[str, tuple[str, ...]] = {
    # The provider asks for an update, and the API server has none of it: who knows how it ends.
    "apps/v1:DaemonSet": ("spec.selector",),
    "core/v1:PersistentVolume": ("spec",),
    "storage.k8s.io/v1:StorageClass": ("reclaimPolicy", "volumeBindingMode", "mountOptions"),
}
_DATA = Path(__file__).parent / "data" / "aws_replaces.json"


@dataclass(frozen=True)
class Forced:
    """What is known of the changed properties of one resource."""

    certain: list[str]
    """They force a replacement."""
    maybe: list[str]
    """Nobody here knows."""


def forced(type_: str, paths: Iterable[str], replace_on: Sequence[str] = ()) -> Forced:
    """Of the changed `paths`, those that force a replacement. `replace_on`: the option `replaceOnChanges`."""
    certain, maybe = [], []
    for path in sorted(set(paths)):
        if any(each == "*" or within(path, each) for each in replace_on):
            certain.append(path)
            continue
        known = _of_type(type_, path)
        if known:
            certain.append(path)
        elif known is None:
            maybe.append(path)
    return Forced(certain, maybe)


def _of_type(type_: str, path: str) -> bool | None:
    if type_.startswith("kubernetes:"):
        return _of_kubernetes(type_.removeprefix("kubernetes:"), path)
    if type_.startswith("aws:"):
        return _of_aws(type_, path)
    # The program itself holds the others' rules: components and providers are not asked here.
    return None


def _of_kubernetes(kind: str, path: str) -> bool | None:
    if any(within(path, each) for each in (*_ANY_OBJECT, *_KUBERNETES.get(kind, ()))):
        return True
    return None if any(within(path, each) for each in _REFUSED.get(kind, ())) else False


def _of_aws(type_: str, path: str) -> bool | None:
    known = _aws().get(type_)
    steps = keys(path)
    if known is None or not steps:
        return None
    if steps[0] in known["replaces"]:
        return True
    return False if steps[0] in known["updates"] else None


def within(path: str, of: str) -> bool:
    """Whether the one path is the other's, lies in it, or holds it."""
    whole, part = keys(path), keys(of)
    # A change that takes the parent away takes the part with it.
    short = min(len(whole), len(part))
    return short > 0 and whole[:short] == part[:short]


@functools.cache
def _aws() -> dict[str, dict[str, list[str]]]:
    return json.loads(_DATA.read_text("utf-8"))
