"""What Checkov says of the same faults: the checks that fail after an operator and did not before.

It is given what an operator touched and what stands around it, as files, before and after; each in a folder by itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.graders import checkov, manifests, terraform
from tests.mutation.parts import WORKLOADS
from tests.mutation.shapes import metadata
from tests.mutation.stacks import Faulted

Urns = frozenset[str]


def says(faulted: Sequence[Faulted], folder: Path) -> dict[str, set[str]]:
    """Operator → ids of the checks that fail of its stack's files only after it. All are of one stack."""
    found: dict[str, set[str]] = {each.operator.id: set() for each in faulted}
    for framework, prefix in (("kubernetes", "kubernetes:"), ("terraform_plan", "aws:")):
        root, pairs = folder / framework, {}
        for each in faulted:
            before = [one for one in each.stack.resources if one.made and one.type.startswith(prefix)]
            after = [one for one in each.resources if one.made and one.type.startswith(prefix)]
            wanted = touched(before, after)
            if wanted:
                pairs[each.operator.id] = (_laid(root, before, wanted), _laid(root, after, wanted))
        if pairs:
            failed = checkov.run_framework(root, framework)
            for name, (before, after) in pairs.items():
                more = failed.get(after, set()) - failed.get(before, set())
                found[name] |= {check for check, _ in more}
    return found


def touched(before: Sequence[Resource], after: Sequence[Resource]) -> Urns:
    """What differs, and what a check would look at beside it."""
    was, is_ = ({each.urn: each for each in side} for side in (before, after))
    changed = {urn for urn in {*was, *is_} if was.get(urn) != is_.get(urn)}
    spaces = {_space(side[urn]) for side in (was, is_) for urn in changed if urn in side} - {""}
    every = [*before, *after]
    near = {each.urn for each in every if changed & set(each.dependencies)}
    near |= {urn for each in every if each.urn in changed for urn in each.dependencies}
    near |= {
        each.urn
        for each in every
        if _space(each) in spaces and each.type.endswith((":NetworkPolicy", *WORKLOADS))
    }
    return frozenset(changed | near) if changed else frozenset()


def _space(resource: Resource) -> str:
    return str(metadata(resource).get("namespace") or "")


def _laid(root: Path, resources: Iterable[Resource], wanted: Urns) -> str:
    """The folder that holds those that are wanted; the same resources are laid once."""
    chosen = [each for each in resources if each.urn in wanted]
    text = json.dumps([each.as_json() for each in chosen], sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = root / name
    if chosen and not folder.exists():
        folder.mkdir(parents=True)
        if root.name == "kubernetes":
            bodies = [one for each in chosen for one in manifests.as_deployments(body(each))]
            text = "---\n".join(json.dumps(each) + "\n" for each in bodies)
            (folder / "manifests.yaml").write_text(text)
        else:
            (folder / "tfplan.json").write_text(
                json.dumps(terraform.plan([_planned(each) for each in chosen]))
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
