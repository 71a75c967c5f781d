"""Writes the inventory as files for tools that carry images over an air gap: Hauler and Zarf."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.images_lock import ImagesLock
from isthmus.core import yaml_files
from isthmus.reports.images.inventory import Inventory

HAULER = "content.hauler.cattle.io/v1"
ZARF = "zarf.dev/v1alpha1"
"""The version that released Zarf reads. `v1beta1` has a schema, but is not finished."""


def hauler_manifest(inventory: Inventory, lock: ImagesLock, stack: str) -> str:
    """Return the file for `hauler store sync -f FILE`: a document of images and one of charts."""
    images = {"images": [{"name": source} for source in _sources(inventory)]}
    charts = {
        "charts": [
            {"name": name, "repoURL": lock.charts[name].repository, "version": lock.charts[name].version}
            for name in (chart.name for chart in inventory.charts)
        ]
    }
    documents = [
        {"apiVersion": HAULER, "kind": kind, "metadata": {"name": f"{stack}-{kind.lower()}"}, "spec": spec}
        for kind, spec, items in (("Images", images, inventory.images), ("Charts", charts, inventory.charts))
        if items
    ]
    return "---\n".join(yaml_files.dumps(document) for document in documents)


def zarf_package(inventory: Inventory, lock: ImagesLock, stack: str) -> str:
    """Return `zarf.yaml` for `zarf package create`.

    The charts are a component of their own, so that a deployment can omit it.
    """
    components: list[dict[str, Any]] = [
        {
            "name": "images",
            "description": "What the platform's pods run",
            "required": True,
            "images": _sources(inventory),
        }
    ]
    charts = [_zarf_chart(chart.name, lock) for chart in inventory.charts]
    if charts:
        components.append(
            {
                "name": "operators",
                "description": "What the platform needs in the cluster, where the organisation has it not",
                "required": False,
                "charts": charts,
            }
        )
    package = {
        "apiVersion": ZARF,
        "kind": "ZarfPackageConfig",
        "metadata": {"name": f"{stack}-images", "description": f"Images and charts of stack {stack}"},
        "components": components,
    }
    return yaml_files.dumps(package)


def _zarf_chart(name: str, lock: ImagesLock) -> dict[str, Any]:
    chart = lock.charts[name]
    entry = {"name": name, "version": chart.version, "namespace": chart.namespace}
    if chart.upstream(name) is None:
        return {**entry, "url": chart.repository, "repoName": name}
    return {**entry, "url": f"{chart.repository.rstrip('/')}/{name}"}


def _sources(inventory: Inventory) -> list[str]:
    return sorted({image.source for image in inventory.images})


def as_data(inventory: Inventory) -> dict[str, Any]:
    """Return the data for `--format json`."""
    return {
        part: [
            {
                "name": image.name,
                "purpose": image.purpose,
                "upstream": image.upstream,
                "digest": image.digest,
                "target": image.target or None,
                "used_by": list(image.used_by),
            }
            for image in items
        ]
        for part, items in (("images", inventory.images), ("charts", inventory.charts))
    }
