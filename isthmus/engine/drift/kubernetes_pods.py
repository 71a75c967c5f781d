"""Pods of ours that run what their owner's template does not say: a sidecar that a webhook put in, another image.

A Pod is its controller's, so it is no foreign object; what runs in it is held to the template all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from isthmus.contracts.reports.drift import Drifted
from isthmus.contracts.reports.preview import PropertyChange
from isthmus.engine.kubernetes.discovery import Kind, Live
from isthmus.engine.kubernetes.ownership import Whose
from isthmus.engine.preview.masking import Masker

_BOXES = ("initContainers", "containers")
_MAKERS = {"ReplicaSet", "StatefulSet", "DaemonSet", "Job"}


def strangers(
    live: Live,
    spaces: Iterable[str],
    objects: Sequence[tuple[Kind, dict[str, Any]]],
    whose: Whose,
    masker: Masker,
    where: Callable[[str], str],
) -> list[Drifted]:
    """Pods whose containers are not those of the template that made them. `objects`: all that stands there."""
    foreign = {str(each["metadata"].get("uid")) for _, each in whose.foreign(objects)}
    pods, makers = live.kind("v1", "Pod"), {kind.kind: kind for kind, _ in objects if kind.kind in _MAKERS}
    if pods is None:
        return []
    found = []
    for space in sorted(spaces):
        templates = {
            str(one["metadata"].get("uid")): (one.get("spec") or {}).get("template") or {}
            for kind in makers.values()
            for one in live.listed(kind, space, whole=True)
        }
        for pod in live.listed(pods, space, whole=True):
            meta = pod["metadata"]
            if str(meta.get("uid")) in foreign or meta.get("deletionTimestamp"):
                continue
            owner = next((each for each in meta.get("ownerReferences") or [] if each.get("controller")), None)
            template = templates.get(str((owner or {}).get("uid")))
            if owner is None or template is None:
                continue
            told = list(_different(template.get("spec") or {}, pod.get("spec") or {}, masker))
            if told:
                found.append(_drifted(pod, owner, told, masker, where(space)))
    return found


def _different(
    template: Mapping[str, Any], pod: Mapping[str, Any], masker: Masker
) -> Iterator[PropertyChange]:
    for part in _BOXES:
        said = {each["name"]: each.get("image") for each in template.get(part) or []}
        for each in pod.get(part) or []:
            name, image = each["name"], masker.value(each.get("image"))
            path = masker.text(f'spec.{part}["{name}"]')
            if name not in said:
                yield PropertyChange(path=path, new={"name": masker.text(name), "image": image})
            elif said[name] != each.get("image"):
                yield PropertyChange(path=f"{path}.image", old=masker.value(said[name]), new=image)
    for each in pod.get("ephemeralContainers") or []:
        path = masker.text(f'spec.ephemeralContainers["{each["name"]}"]')
        yield PropertyChange(
            path=path, new={"name": masker.text(each["name"]), "image": masker.value(each.get("image"))}
        )


def _drifted(
    pod: Mapping[str, Any], owner: Mapping[str, Any], told: list[PropertyChange], masker: Masker, where: str
) -> Drifted:
    meta = pod["metadata"]
    return Drifted(
        urn=masker.text(f"{where}, Pod {meta['name']}"),
        op="update",
        what="added",
        type="kubernetes:core/v1:Pod",
        name=masker.text(str(meta["name"])),
        component=masker.text(str(owner.get("name", ""))),
        properties=told,
        severity="high",
        where=where,
        since=str(meta.get("creationTimestamp") or ""),
        why="it runs what its template does not say: an admission webhook's, or somebody's debugging",
    )
