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
_OPEN = re.compile(r"\$\{[^.${}]+\.[^${}]+\}")
_LAST = ":PodDisruptionBudget"
_OURS = "pulumi.com/"
"""Annotations that only Pulumi's provider reads."""


def waves(resources: Iterable[Resource]) -> dict[str, int]:
    """By URN of each object in a cluster: after how many others it comes, one after the other.

    From the program's own dependencies, so the order is the one in which the engine makes them.
    """
    all_ = {each.urn: each for each in resources}
    depth: dict[str, int] = {}

    def of(urn: str) -> int:
        if urn not in depth:
            depth[urn] = 0  # a program has no cycle; a name that it knows from elsewhere has no depth
            one = all_.get(urn)
            # A part of a component waits for what its component waits for.
            above = [one.parent] if one is not None and one.parent else []
            needs = [of(each) for each in [*one.dependencies, *above]] if one is not None else []
            counts = one is not None and one.made and one.type.startswith("kubernetes:")
            depth[urn] = max(needs, default=0) + (1 if counts else 0)
        return depth[urn]

    found = {each.urn: of(each.urn) for each in all_.values() if _object(each)}
    last = max(found.values(), default=0) + 1
    # Flux waits for each object; a budget may not count as ready while there are none of the pods that it counts.
    found |= {urn: last for urn in found if all_[urn].type.endswith(_LAST)}
    order = {each: at for at, each in enumerate(sorted(set(found.values())))}
    return {urn: order[each] for urn, each in found.items()}


def files(resources: list[Resource], stack: str, form: Form, source: str) -> tuple[dict[str, str], list[str]]:
    """Relative path → text, in place of `kubernetes/`; and a line for each kind of manifest that stands apart.

    `source`: the name of Flux's GitRepository, in whose root the folder is.
    """
    at = waves(resources)
    made: dict[str, str] = {}
    apart = {"unfilled": 0, "patches": 0}
    levels: dict[str, set[int]] = {}
    for each in resources:
        if not _object(each):
            continue
        path, text = render_files.manifest(_plain(each, at[each.urn] if form == "argocd" else None))
        _, site, rest = path.split("/", 2)
        if each.type.endswith("Patch"):
            apart["patches"] += 1
            made[f"patches/{site}/{rest}"] = text
        elif _OPEN.search(text) or MASK in text:
            apart["unfilled"] += 1
            made[f"unfilled/{site}/{rest}"] = text
        else:
            levels.setdefault(site, set()).add(at[each.urn])
            step = f"{at[each.urn]:02d}/" if form == "flux" else ""
            made[f"kubernetes/{site}/{step}{rest}"] = text
    if form == "flux":
        for site, steps in levels.items():
            made[f"flux-{site}.yaml"] = _kustomizations(stack, site, sorted(steps), source)
    said = {
        "unfilled": "hold values that only the cluster or AWS knows: fill them in before they are applied",
        "patches": "change objects that others own, which pruning would delete: apply them by hand or by Pulumi",
    }
    return made, [f"{count} manifests under {name}/ {said[name]}" for name, count in apart.items() if count]


def _object(each: Resource) -> bool:
    return each.made and each.type.startswith("kubernetes:")


def _plain(each: Resource, wave: int | None) -> Resource:
    meta: dict[str, Any] = dict(each.inputs.get("metadata") or {})
    notes = {key: value for key, value in (meta.pop("annotations", None) or {}).items() if _OURS not in key}
    if wave is not None:
        notes[WAVE] = str(wave)
    if notes:
        meta["annotations"] = dict(sorted(notes.items()))
    return replace(each, inputs={**each.inputs, "metadata": meta})


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
