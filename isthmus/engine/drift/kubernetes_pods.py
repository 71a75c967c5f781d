"""Pods of ours that run what their owner's template does not say: a sidecar that a webhook put in, another image.

A Pod is its controller's, so it is no foreign object; what runs in it is held to the template all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from isthmus.contracts.reports.drift import Drifted
from isthmus.contracts.reports.preview import PropertyChange
from isthmus.engine.kubernetes.discovery import Kind, Live
from isthmus.engine.kubernetes.ownership import Ownership
from isthmus.engine.preview.masking import Masker

_CONTAINER_SECTIONS = ("initContainers", "containers")
_POD_CONTROLLERS = {"ReplicaSet", "StatefulSet", "DaemonSet", "Job"}


def find_changed_pods(
    live: Live,
    namespaces: Iterable[str],
    objects: Sequence[tuple[Kind, dict[str, Any]]],
    ownership: Ownership,
    masker: Masker,
    where: Callable[[str], str],
) -> list[Drifted]:
    """Pods whose containers are not those of the template that made them. `objects`: all that stands there."""
    foreign = {str(foreign_object["metadata"].get("uid")) for _, foreign_object in ownership.foreign(objects)}
    pods, makers = (
        live.kind("v1", "Pod"),
        {kind.kind: kind for kind, _ in objects if kind.kind in _POD_CONTROLLERS},
    )
    if pods is None:
        return []
    drifts = []
    for namespace in sorted(namespaces):
        templates = {
            str(maker["metadata"].get("uid")): (maker.get("spec") or {}).get("template") or {}
            for kind in makers.values()
            for maker in live.listed(kind, namespace, full=True)
        }
        for pod in live.listed(pods, namespace, full=True):
            metadata = pod["metadata"]
            if str(metadata.get("uid")) in foreign or metadata.get("deletionTimestamp"):
                continue
            owner = next(
                (
                    reference
                    for reference in metadata.get("ownerReferences") or []
                    if reference.get("controller")
                ),
                None,
            )
            template = templates.get(str((owner or {}).get("uid")))
            if owner is None or template is None:
                continue
            changes = list(_container_changes(template.get("spec") or {}, pod.get("spec") or {}, masker))
            if changes:
                drifts.append(_drifted(pod, owner, changes, masker, where(namespace)))
    return drifts


def _container_changes(
    template: Mapping[str, Any], pod: Mapping[str, Any], masker: Masker
) -> Iterator[PropertyChange]:
    for section in _CONTAINER_SECTIONS:
        images = {container["name"]: container.get("image") for container in template.get(section) or []}
        for container in pod.get(section) or []:
            name, image = container["name"], masker.value(container.get("image"))
            path = masker.text(f'spec.{section}["{name}"]')
            if name not in images:
                yield PropertyChange(path=path, new={"name": masker.text(name), "image": image})
            elif images[name] != container.get("image"):
                yield PropertyChange(path=f"{path}.image", old=masker.value(images[name]), new=image)
    for container in pod.get("ephemeralContainers") or []:
        path = masker.text(f'spec.ephemeralContainers["{container["name"]}"]')
        yield PropertyChange(
            path=path,
            new={"name": masker.text(container["name"]), "image": masker.value(container.get("image"))},
        )


def _drifted(
    pod: Mapping[str, Any],
    owner: Mapping[str, Any],
    changes: list[PropertyChange],
    masker: Masker,
    where: str,
) -> Drifted:
    metadata = pod["metadata"]
    return Drifted(
        urn=masker.text(f"{where}, Pod {metadata['name']}"),
        op="update",
        what="added",
        type="kubernetes:core/v1:Pod",
        name=masker.text(str(metadata["name"])),
        component=masker.text(str(owner.get("name", ""))),
        properties=changes,
        severity="high",
        where=where,
        since=str(metadata.get("creationTimestamp") or ""),
        why="it runs what its template does not say: an admission webhook's, or somebody's debugging",
    )
