"""Every image and chart that a rendered stack needs, read off its pods and objects: what must be mirrored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from isthmus.contracts.images_lock import IMAGES, Image, ImagesLock
from isthmus.contracts.platform.model.platform import Images
from isthmus.core import image_references
from isthmus.graph.resources.resources import Resource, boxes, place, templates


@dataclass(frozen=True)
class Item:
    """An image or a chart."""

    name: str
    """Its name in the lock; `weights`, or `other`, for an image that is in the overrides alone."""
    upstream: str | None
    """Where it comes from, by tag or version; None where only the organisation knows."""
    digest: str | None
    """None where it is not resolved."""
    target: str
    """The reference that pods have, or the chart in the organisation's registry; empty where none is named."""
    used_by: tuple[str, ...]
    """Pods as NAMESPACE/WORKLOAD, tasks as fargate/TASK; for a chart, what of the stack needs it."""
    locked: bool
    """Whether its digest is the lock's to say."""
    purpose: str = ""

    @property
    def source(self) -> str:
        """The image to fetch: by digest where there is one."""
        if self.upstream is None:
            return self.target
        return (
            self.upstream
            if self.digest is None
            else image_references.parse(self.upstream).by_digest(self.digest)
        )


@dataclass(frozen=True)
class Inventory:
    """What a stack needs, sorted by name and target."""

    images: list[Item]
    charts: list[Item]

    def with_digests(self, lock: ImagesLock, given: Images) -> Inventory:
        """The same after the lock has been resolved."""
        images = [
            replace(one, digest=lock.images[one.name].digest, target=_target(lock, one.name, given))
            if one.locked and one.name in lock.images
            else one
            for one in self.images
        ]
        return Inventory(images, [replace(one, digest=lock.charts[one.name].digest) for one in self.charts])

    @property
    def unresolved(self) -> dict[str, str]:
        """What has no digest, and where it comes from."""
        return {each.name: str(each.upstream) for each in (*self.images, *self.charts) if each.digest is None}


def of(resources: Iterable[Resource], lock: ImagesLock, given: Images) -> Inventory:
    """`given`: the platform's images, in which what is not resolved has the digest that `lock.target` makes up."""
    users: dict[str, set[str]] = {}
    needs: dict[str, set[str]] = {}
    mounted: set[str] = set()
    hosted: dict[str, set[str]] = {}
    for each in resources:
        if each.made and each.type == "aws:sagemaker/model:Model":
            image = (each.inputs.get("primaryContainer") or {}).get("image")
            hosted.setdefault(str(image), set()).add(f"SageMaker model {each.name}")
        if each.made and each.type == "aws:ecs/taskDefinition:TaskDefinition":
            for box in json.loads(each.inputs.get("containerDefinitions") or "[]"):
                users.setdefault(str(box["image"]), set()).add(f"fargate/{each.name}")
        if not each.made or not each.type.startswith("kubernetes:"):
            continue
        name, namespace = place(each)
        group = each.type.split(":")[1].rpartition("/")[0]
        if group == "helm.sh":
            # Named by the chart that it installs, whatever the chart provides.
            chart = str(each.inputs.get("chart", "")).partition("@")[0].rpartition("/")[2]
            release = f"{each.inputs.get('namespace')}/{each.inputs.get('name')}"
            needs.setdefault(chart, set()).add(f"the release {release}")
        needs.setdefault(group, set()).add(f"{each.type.rpartition(':')[2]} of {group}")
        for template in templates(each.inputs):
            mounted |= set(_volumes(template))
            for reference in (*_containers(template), *_volumes(template)):
                users.setdefault(reference, set()).add(f"{namespace}/{name}")
            for resource in _asked(template):
                needs.setdefault(resource, set()).add(f"pods that ask for {resource}")
    images = [_image(each, users[each], lock, given, mounted=each in mounted) for each in users]
    # From Amazon ECR, which no registry of the organisation's replaces: it is where it is.
    images += [
        Item("sagemaker", None, each.partition("@")[2] or None, each, tuple(sorted(who)), False)
        for each, who in hosted.items()
    ]
    charts = [_chart(name, needs, lock, given) for name in lock.charts]
    return Inventory(
        sorted(images, key=lambda one: (one.name, one.target)),
        sorted((one for one in charts if one.used_by), key=lambda one: one.name),
    )


def _containers(template: Mapping[str, Any]) -> list[str]:
    return [str(box["image"]) for box in boxes(template) if box.get("image")]


def _volumes(template: Mapping[str, Any]) -> list[str]:
    """Volumes that are images (weights): a node pulls them as it does the containers'."""
    volumes = template["spec"].get("volumes") or []
    found = [(volume.get("image") or {}).get("reference") for volume in volumes]
    return [str(each) for each in found if each]


def _asked(template: Mapping[str, Any]) -> list[str]:
    return [key for box in boxes(template) for key in (box.get("resources") or {}).get("limits") or {}]


def _image(reference: str, who: set[str], lock: ImagesLock, given: Images, *, mounted: bool) -> Item:
    used = tuple(sorted(who))
    name: Image | None = next((one for one in IMAGES if getattr(given, one) == reference), None)
    if name is None or name not in lock.images:
        _, _, digest = reference.partition("@")
        return Item("weights" if mounted else "other", None, digest or None, reference, used, locked=False)
    image = lock.images[name]
    if given.registry and reference == lock.target(name, given.registry):
        return Item(
            name, image.reference, image.digest, _target(lock, name, given), used, True, image.purpose
        )
    digest = reference.partition("@")[2]
    # Given by the organisation: it is where it is. Only the same digest says that it is the lock's.
    upstream = image.reference if digest == image.digest else None
    return Item(name, upstream, digest, reference, used, False, image.purpose)


def _target(lock: ImagesLock, name: Image, given: Images) -> str:
    registry = str(given.registry)
    image = lock.images[name]
    return lock.target(name, registry) if image.digest else str(image.upstream.at(registry))


def _chart(name: str, needs: Mapping[str, set[str]], lock: ImagesLock, given: Images) -> Item:
    chart = lock.charts[name]
    used = sorted({one for key in (name, *chart.provides) for one in needs.get(key, ())})
    at = chart.in_mirror(name, given.registry) if given.registry else None
    return Item(
        name,
        f"oci://{oci}" if (oci := chart.upstream(name)) else f"{chart.repository} ({name} {chart.version})",
        chart.digest,
        str(at or ""),
        tuple(used),
        True,
        chart.purpose,
    )
