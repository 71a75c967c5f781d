"""A rendered stack for Argo CD or Flux: the manifests that they may apply as they are, in an order; the rest apart.

Apart stand what holds a value that only the cluster or AWS knows (`unfilled/`), and patches of objects that others own
(`patches/`): both programs delete what leaves their folder, and a machine must not go with its label. AWS's resources
stay under `aws/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from isthmus.core import yaml_files
from isthmus.core.pulumi_values import MASK
from isthmus.engine.render import files as render_files

if TYPE_CHECKING:
    from isthmus.engine.render.recorder import Resource

Form = Literal["argocd", "flux"]
WAVE = "argocd.argoproj.io/sync-wave"
_PLACEHOLDER = re.compile(r"\$\{[^.${}]+\.[^${}]+\}")
_LAST_TYPE = ":PodDisruptionBudget"
_PULUMI_ANNOTATIONS = "pulumi.com/"
"""Annotations that only Pulumi's provider reads."""


def compute_waves(resources: Iterable[Resource]) -> dict[str, int]:
    """By URN of each object in a cluster: after how many others it comes, one after the other.

    From the program's own dependencies, so the order is the one in which the engine makes them.
    """
    resources_by_urn = {resource.urn: resource for resource in resources}
    depth: dict[str, int] = {}

    def depth_of(urn: str) -> int:
        if urn not in depth:
            depth[urn] = 0  # a program has no cycle; a name that it knows from elsewhere has no depth
            resource = resources_by_urn.get(urn)
            # A part of a component waits for what its component waits for.
            parents = [resource.parent] if resource is not None and resource.parent else []
            needs = (
                [depth_of(needed_urn) for needed_urn in [*resource.dependencies, *parents]]
                if resource is not None
                else []
            )
            is_counted = resource is not None and resource.made and resource.type.startswith("kubernetes:")
            depth[urn] = max(needs, default=0) + (1 if is_counted else 0)
        return depth[urn]

    depths = {
        resource.urn: depth_of(resource.urn)
        for resource in resources_by_urn.values()
        if _is_kubernetes_object(resource)
    }
    last = max(depths.values(), default=0) + 1
    # Flux waits for each object; a budget may not count as ready while there are none of the pods that it counts.
    depths |= {urn: last for urn in depths if resources_by_urn[urn].type.endswith(_LAST_TYPE)}
    order = {depth_value: position for position, depth_value in enumerate(sorted(set(depths.values())))}
    return {urn: order[depth_value] for urn, depth_value in depths.items()}


def build_gitops_files(
    resources: list[Resource], stack: str, form: Form, source: str
) -> tuple[dict[str, str], list[str]]:
    """Relative path → text, in place of `kubernetes/`; and a line for each kind of manifest that stands apart.

    `source`: the name of Flux's GitRepository, in whose root the folder is.
    """
    waves_by_urn = compute_waves(resources)
    text_by_path: dict[str, str] = {}
    counts = {"unfilled": 0, "patches": 0}
    levels: dict[str, set[int]] = {}
    for resource in resources:
        if not _is_kubernetes_object(resource):
            continue
        path, text = render_files.manifest(
            _without_pulumi_annotations(resource, waves_by_urn[resource.urn] if form == "argocd" else None)
        )
        _, site, below_site = path.split("/", 2)
        if resource.type.endswith("Patch"):
            counts["patches"] += 1
            text_by_path[f"patches/{site}/{below_site}"] = text
        elif _PLACEHOLDER.search(text) or MASK in text:
            counts["unfilled"] += 1
            text_by_path[f"unfilled/{site}/{below_site}"] = text
        else:
            levels.setdefault(site, set()).add(waves_by_urn[resource.urn])
            step = f"{waves_by_urn[resource.urn]:02d}/" if form == "flux" else ""
            text_by_path[f"kubernetes/{site}/{step}{below_site}"] = text
    if form == "flux":
        for site, steps in levels.items():
            text_by_path[f"flux-{site}.yaml"] = _kustomizations(stack, site, sorted(steps), source)
    descriptions = {
        "unfilled": "hold values that only the cluster or AWS knows: fill them in before they are applied",
        "patches": "change objects that others own, which pruning would delete: apply them by hand or by Pulumi",
    }
    return text_by_path, [
        f"{count} manifests under {name}/ {descriptions[name]}" for name, count in counts.items() if count
    ]


def _is_kubernetes_object(resource: Resource) -> bool:
    return resource.made and resource.type.startswith("kubernetes:")


def _without_pulumi_annotations(resource: Resource, wave: int | None) -> Resource:
    metadata: dict[str, Any] = dict(resource.inputs.get("metadata") or {})
    annotations = {
        key: value
        for key, value in (metadata.pop("annotations", None) or {}).items()
        if _PULUMI_ANNOTATIONS not in key
    }
    if wave is not None:
        annotations[WAVE] = str(wave)
    if annotations:
        metadata["annotations"] = dict(sorted(annotations.items()))
    return replace(resource, inputs={**resource.inputs, "metadata": metadata})


def _kustomizations(stack: str, site: str, steps: list[int], source: str) -> str:
    """One Kustomization a step, each waiting until all of the one before is ready."""
    texts = []
    for index, step in enumerate(steps):
        spec: dict[str, Any] = {
            "interval": "10m",
            "path": f"./kubernetes/{site}/{step:02d}",
            "prune": True,
            "wait": True,
            "sourceRef": {"kind": "GitRepository", "name": source},
        }
        if index:
            spec["dependsOn"] = [{"name": f"{stack}-{site}-{steps[index - 1]:02d}"}]
        body = {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": {"name": f"{stack}-{site}-{step:02d}", "namespace": "flux-system"},
            "spec": spec,
        }
        texts.append(yaml_files.dumps(body, ""))
    return "---\n".join(texts)
