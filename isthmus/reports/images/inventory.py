"""Lists every image and chart that a rendered stack needs, from its pods and objects, to mirror them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from isthmus.contracts.images_lock import IMAGES, Image, ImagesLock
from isthmus.contracts.platform.model.platform import Images
from isthmus.core import image_references
from isthmus.graph.resources.resources import Resource, name_and_namespace, pod_containers, templates


@dataclass(frozen=True)
class InventoryItem:
    """An image or a chart."""

    name: str
    """Name in the lock; `weights` or `other` for an image that only the overrides name."""
    upstream: str | None
    """Where it comes from, with tag or version; None if only the organisation knows."""
    digest: str | None
    """None if it is not resolved."""
    target: str
    """The reference in pods, or the chart in the organisation's registry; empty if no registry is set."""
    used_by: tuple[str, ...]
    """Pods as NAMESPACE/WORKLOAD, tasks as fargate/TASK; for a chart, the parts of the stack that need it."""
    locked: bool
    """Whether the lock determines its digest."""
    purpose: str = ""

    @property
    def source(self) -> str:
        """The image to fetch: by digest if it is known."""
        if self.upstream is None:
            return self.target
        return (
            self.upstream
            if self.digest is None
            else image_references.parse(self.upstream).by_digest(self.digest)
        )


@dataclass(frozen=True)
class Inventory:
    """The images and charts of a stack, sorted by name and target."""

    images: list[InventoryItem]
    charts: list[InventoryItem]

    def with_digests(self, lock: ImagesLock, images_setting: Images) -> Inventory:
        """Return the inventory with the digests of a resolved lock."""
        images = [
            replace(
                image, digest=lock.images[image.name].digest, target=_target(lock, image.name, images_setting)
            )
            if image.locked and image.name in lock.images
            else image
            for image in self.images
        ]
        return Inventory(
            images, [replace(chart, digest=lock.charts[chart.name].digest) for chart in self.charts]
        )

    @property
    def unresolved(self) -> dict[str, str]:
        """Return the names without a digest, and where they come from."""
        return {
            artifact.name: str(artifact.upstream)
            for artifact in (*self.images, *self.charts)
            if artifact.digest is None
        }


def list_images(resources: Iterable[Resource], lock: ImagesLock, images_setting: Images) -> Inventory:
    """Return the images and charts that the resources need.

    `images_setting`: the platform's images. Unresolved ones have the placeholder digest of `lock.target`.
    """
    users: dict[str, set[str]] = {}
    needs: dict[str, set[str]] = {}
    mounted: set[str] = set()
    hosted: dict[str, set[str]] = {}
    for resource in resources:
        if resource.made and resource.type == "aws:sagemaker/model:Model":
            image = (resource.inputs.get("primaryContainer") or {}).get("image")
            hosted.setdefault(str(image), set()).add(f"SageMaker model {resource.name}")
        if resource.made and resource.type == "aws:ecs/taskDefinition:TaskDefinition":
            for box in json.loads(resource.inputs.get("containerDefinitions") or "[]"):
                users.setdefault(str(box["image"]), set()).add(f"fargate/{resource.name}")
        if not resource.made or not resource.type.startswith("kubernetes:"):
            continue
        name, namespace = name_and_namespace(resource)
        group = resource.type.split(":")[1].rpartition("/")[0]
        if group == "helm.sh":
            # The chart's name, not that of the objects that it installs.
            chart = str(resource.inputs.get("chart", "")).partition("@")[0].rpartition("/")[2]
            release = f"{resource.inputs.get('namespace')}/{resource.inputs.get('name')}"
            needs.setdefault(chart, set()).add(f"the release {release}")
        needs.setdefault(group, set()).add(f"{resource.type.rpartition(':')[2]} of {group}")
        for template in templates(resource.inputs):
            mounted |= set(_image_volumes(template))
            for reference in (*_container_images(template), *_image_volumes(template)):
                users.setdefault(reference, set()).add(f"{namespace}/{name}")
            for requested in _requested_resources(template):
                needs.setdefault(requested, set()).add(f"pods that ask for {requested}")
    images = [
        _image_item(reference, users[reference], lock, images_setting, mounted=reference in mounted)
        for reference in users
    ]
    # An image in Amazon ECR stays there; the organisation's registry does not replace it.
    images += [
        InventoryItem(
            "sagemaker",
            None,
            reference.partition("@")[2] or None,
            reference,
            tuple(sorted(users_of_image)),
            False,
        )
        for reference, users_of_image in hosted.items()
    ]
    charts = [_chart_item(name, needs, lock, images_setting) for name in lock.charts]
    return Inventory(
        sorted(images, key=lambda image: (image.name, image.target)),
        sorted((chart for chart in charts if chart.used_by), key=lambda chart: chart.name),
    )


def _container_images(template: Mapping[str, Any]) -> list[str]:
    return [str(box["image"]) for box in pod_containers(template) if box.get("image")]


def _image_volumes(template: Mapping[str, Any]) -> list[str]:
    """Yield volumes that are images (weights): nodes pull them like container images."""
    volumes = template["spec"].get("volumes") or []
    references = [(volume.get("image") or {}).get("reference") for volume in volumes]
    return [str(reference) for reference in references if reference]


def _requested_resources(template: Mapping[str, Any]) -> list[str]:
    return [
        key for box in pod_containers(template) for key in (box.get("resources") or {}).get("limits") or {}
    ]


def _image_item(
    reference: str, users: set[str], lock: ImagesLock, images_setting: Images, *, mounted: bool
) -> InventoryItem:
    used = tuple(sorted(users))
    name: Image | None = next(
        (candidate for candidate in IMAGES if getattr(images_setting, candidate) == reference), None
    )
    if name is None or name not in lock.images:
        _, _, digest = reference.partition("@")
        return InventoryItem(
            "weights" if mounted else "other", None, digest or None, reference, used, locked=False
        )
    image = lock.images[name]
    if images_setting.registry and reference == lock.target(name, images_setting.registry):
        return InventoryItem(
            name,
            image.reference,
            image.digest,
            _target(lock, name, images_setting),
            used,
            True,
            image.purpose,
        )
    digest = reference.partition("@")[2]
    # The organisation set this reference, so it stays. It is the lock's image only if the digest is equal.
    upstream = image.reference if digest == image.digest else None
    return InventoryItem(name, upstream, digest, reference, used, False, image.purpose)


def _target(lock: ImagesLock, name: Image, images_setting: Images) -> str:
    registry = str(images_setting.registry)
    image = lock.images[name]
    return lock.target(name, registry) if image.digest else str(image.upstream.at(registry))


def _chart_item(
    name: str, needs: Mapping[str, set[str]], lock: ImagesLock, images_setting: Images
) -> InventoryItem:
    chart = lock.charts[name]
    used = sorted({user for key in (name, *chart.provides) for user in needs.get(key, ())})
    mirrored = chart.in_mirror(name, images_setting.registry) if images_setting.registry else None
    return InventoryItem(
        name,
        f"oci://{oci}" if (oci := chart.upstream(name)) else f"{chart.repository} ({name} {chart.version})",
        chart.digest,
        str(mirrored or ""),
        tuple(used),
        True,
        chart.purpose,
    )
