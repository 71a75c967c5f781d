"""`isthmus up` and `isthmus destroy`, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isthmus.engine import admission
from isthmus.engine.automation import Engine
from isthmus.engine.events import Run, Watcher, named
from isthmus.engine.project import Stack
from isthmus.engine.surroundings import clusters, surroundings

if TYPE_CHECKING:
    from isthmus.contracts.platform import Platform
    from isthmus.engine.kube import Cluster

Say = Callable[[str], None]

FIRST = [
    "**isthmus:index:AdmissionGuard**",
    "**isthmus:index:ClassNamespace**",
    "**isthmus:index:LlmPlatform::**",
    # What is only read (the GPU Operator's ClusterPolicy) is read whatever the targets are, and a state
    # that lacks its parent is refused by the engine as broken.
    "**isthmus:index:GpuPool::**",
    "**::pulumi:providers:**",
    "**pulumi:pulumi:Stack::**",
]
"""What is built before anything else where a restricted class is in use: the policies that refuse, the
namespaces they refuse in, and what these hang from. As globs over URNs."""


@dataclass
class Built:
    """What `up` did."""

    platform: Platform
    outputs: dict[str, Any]
    counts: dict[str, int]
    """create, update, delete, replace, same."""
    changed: dict[str, str]
    """URN → create, update, delete or replace."""
    replacements: dict[str, list[str]]
    proofs: list[admission.Proven]
    seconds: float
    warnings: list[str] = field(default_factory=list)


@dataclass
class Destroyed:
    """What `destroy` did, and what it left on purpose."""

    counts: dict[str, int]
    retained: list[str]
    """Whole sentences: what is kept, and where."""
    pending_keys: list[str]
    """KMS keys that AWS deletes after their waiting period."""
    seconds: float


def up(stack: Stack, *, say: Say, watcher: Watcher | None = None) -> Built:
    """Build the stack.

    Contracts are checked first, then tools and clusters, so that bad input and a bad environment leave
    nothing half-made. Then admission is proved where a restricted class is in use, then all is built.
    """
    started = time.monotonic()
    platform = stack.platform()
    say("the plan, the blueprint and the overrides are valid")
    with surroundings(stack):
        reached = clusters(platform)
        for site, one in reached.items():
            say(f"site {site}: the cluster answers at {one.server}")
        engine = Engine(stack, say)
        state = engine.state()
        if state.get("pending_operations"):
            lost = ", ".join(named(each["resource"]["urn"]) for each in state["pending_operations"])
            say(f"an earlier run was cut off while it made {lost}; looking at what there is")
            engine.clear_pending_creates()
            state = engine.state()
        expected = _size(state)
        first, proofs = _admission(engine, platform, reached, say, watcher)
        run = engine.up(watcher, expected=expected)
        outputs = engine.outputs()
    return Built(
        platform=platform,
        outputs=outputs,
        counts=_added(first, run),
        changed={**(first.changed_urns if first else {}), **run.changed_urns},
        replacements=run.replacements,
        proofs=proofs,
        seconds=time.monotonic() - started,
        warnings=run.warnings,
    )


def destroy(stack: Stack, *, say: Say, watcher: Watcher | None = None) -> Destroyed:
    """Take the stack down and say what stays."""
    started = time.monotonic()
    with surroundings(stack):
        engine = Engine(stack, say)
        state = engine.state()
        outputs = engine.outputs()
        run = engine.destroy(watcher, expected=_size(state))
    # The engine's step for what is retained is a deletion too, from the state alone.
    kept = sum(
        1 for each in state.get("resources") or [] if each.get("custom") and each.get("retainOnDelete")
    )
    counts = {**run.counts, "delete": max(0, run.counts.get("delete", 0) - kept), "retain": kept}
    return Destroyed(
        counts=counts,
        retained=_retained(state, outputs),
        pending_keys=_pending_keys(state),
        seconds=time.monotonic() - started,
    )


def _admission(
    engine: Engine, platform: Platform, reached: dict[str, Cluster], say: Say, watcher: Watcher | None
) -> tuple[Run | None, list[admission.Proven]]:
    """Have each cluster with a restricted class refuse before anything is sent there."""
    sites = {each.site for each in [*platform.endpoints, *platform.gateways] if each.class_ == "restricted"}
    guarded = {site: reached[site] for site in sorted(sites) if site in reached}
    if not guarded:
        return None, []
    registry = sorted(platform.images.registries)[0]
    namespace = "isthmus-restricted"
    first = None
    if not all(admission.in_force(one, namespace, registry) for one in guarded.values()):
        say("building the admission policies first, before anything that they guard")
        first = engine.up(watcher, target=FIRST)
    proofs = []
    for site, one in guarded.items():
        proofs.append(admission.prove(one, namespace, registry))
        say(f"site {site}: the cluster refuses AWS credentials and foreign images in {namespace}")
    return first, proofs


def _added(*runs: Run | None) -> dict[str, int]:
    """Counts over several runs; what stayed the same is the last run's to say."""
    counts: dict[str, int] = {}
    present = [run for run in runs if run]
    for run in present:
        for kind, number in run.counts.items():
            if kind != "same":
                counts[kind] = counts.get(kind, 0) + number
    earlier = sum(number for run in present[:-1] for kind, number in run.counts.items() if kind != "same")
    counts["same"] = max(0, present[-1].counts.get("same", 0) - earlier)
    return counts


def _size(state: dict[str, Any]) -> int:
    """How many custom resources a state holds, providers aside."""
    return sum(
        1
        for each in state.get("resources") or []
        if each.get("custom") and not each["type"].startswith("pulumi:")
    )


def _retained(state: dict[str, Any], outputs: dict[str, Any]) -> list[str]:
    said = outputs.get("retained")
    if isinstance(said, list) and said:
        return [str(each) for each in said]
    return [
        f"{named(each['urn'])} ({each.get('id', '?')})"
        for each in state.get("resources") or []
        if each.get("custom") and each.get("retainOnDelete")
    ]


def _pending_keys(state: dict[str, Any]) -> list[str]:
    return [
        str((each.get("outputs") or {}).get("arn") or each.get("id"))
        for each in state.get("resources") or []
        if each["type"] == "aws:kms/key:Key" and not each.get("retainOnDelete")
    ]
