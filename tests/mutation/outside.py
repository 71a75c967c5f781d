"""Runs Checkov on the same faults: the checks that fail only after an operator.

Checkov gets the changed resources and their neighbours as files, before and after, each in its own folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.parts import WORKLOADS
from tests.graders import checkov, manifests, terraform
from tests.mutation.shapes import metadata
from tests.mutation.stacks import Faulted

Urns = frozenset[str]


def says(faulted: Sequence[Faulted], folder: Path) -> dict[str, set[str]]:
    """Operator → ids of the checks that fail of its stack's files only after it. All are of one stack."""
    failed_by_operator: dict[str, set[str]] = {fault.operator.id: set() for fault in faulted}
    for framework, prefix in (("kubernetes", "kubernetes:"), ("terraform_plan", "aws:")):
        root, pairs = folder / framework, {}
        for fault in faulted:
            before = [
                resource
                for resource in fault.stack.resources
                if resource.made and resource.type.startswith(prefix)
            ]
            after = [
                resource for resource in fault.resources if resource.made and resource.type.startswith(prefix)
            ]
            urns = touched(before, after)
            if urns:
                pairs[fault.operator.id] = (_laid(root, before, urns), _laid(root, after, urns))
        if pairs:
            failed = checkov.run_framework(root, framework)
            for name, (before, after) in pairs.items():
                more = failed.get(after, set()) - failed.get(before, set())
                failed_by_operator[name] |= {check for check, _ in more}
    return failed_by_operator


def touched(before: Sequence[Resource], after: Sequence[Resource]) -> Urns:
    """What differs, and what a check would look at beside it."""
    old, is_ = ({resource.urn: resource for resource in side} for side in (before, after))
    changed = {urn for urn in {*old, *is_} if old.get(urn) != is_.get(urn)}
    spaces = {_namespace_of(side[urn]) for side in (old, is_) for urn in changed if urn in side} - {""}
    all_resources = [*before, *after]
    near = {resource.urn for resource in all_resources if changed & set(resource.dependencies)}
    near |= {urn for resource in all_resources if resource.urn in changed for urn in resource.dependencies}
    near |= {
        resource.urn
        for resource in all_resources
        if _namespace_of(resource) in spaces and resource.type.endswith((":NetworkPolicy", *WORKLOADS))
    }
    return frozenset(changed | near) if changed else frozenset()


def _namespace_of(resource: Resource) -> str:
    return str(metadata(resource).get("namespace") or "")


def _laid(root: Path, resources: Iterable[Resource], urns: Urns) -> str:
    """The folder that holds those that are wanted; the same resources are laid once."""
    selected = [resource for resource in resources if resource.urn in urns]
    text = json.dumps([resource.as_json() for resource in selected], sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = root / name
    if selected and not folder.exists():
        folder.mkdir(parents=True)
        if root.name == "kubernetes":
            bodies = [
                manifest for resource in selected for manifest in manifests.as_deployments(body(resource))
            ]
            text = "---\n".join(json.dumps(manifest) + "\n" for manifest in bodies)
            (folder / "manifests.yaml").write_text(text)
        else:
            (folder / "tfplan.json").write_text(
                json.dumps(terraform.plan([_planned(resource) for resource in selected]))
            )
    return name


def body(resource: Resource) -> dict[str, Any]:
    """An object as its manifest has it."""
    version, kind = resource.type.split(":")[1:]
    head = {"apiVersion": version.removeprefix("core/"), "kind": kind.removesuffix("Patch")}
    return {**head, **resource.inputs}


def _planned(resource: Resource) -> dict[str, Any]:
    return {
        "urn": resource.urn,
        "type": resource.type,
        "inputs": resource.inputs,
        "needs": resource.dependencies,
    }
