"""`isthmus up` and `isthmus destroy`, step by step."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isthmus.blueprints import emergency_access
from isthmus.contracts.vocabulary import UP_STEP
from isthmus.core.errors import EnvironmentFault, IsthmusError
from isthmus.engine.automation.events import Run, Watcher
from isthmus.engine.automation.stack_engine import Engine
from isthmus.engine.estate import layers as estate_layers
from isthmus.engine.estate import migration as estate_migration
from isthmus.engine.kubernetes import admission_proof, watchdog
from isthmus.engine.kubernetes import nodes as kubernetes_nodes
from isthmus.engine.project.prerequisites import clusters
from isthmus.engine.project.project import Stack
from isthmus.engine.recovery import recovery
from isthmus.engine.recovery.recovery import NO_ANSWERS, Answers
from isthmus.engine.run import preflight, retained_resources
from isthmus.engine.state.locks import at_work

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.engine.kubernetes.client import Cluster
    from isthmus.engine.render.rendering import Rendered
    from isthmus.engine.run.approval import Approval

Say = Callable[[str], None]

FIRST = ("isthmus:index:AdmissionGuard", "isthmus:index:ClassNamespace")
"""Components built before anything else where a restricted class is in use: the policies that refuse, and the
namespaces they refuse in."""


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
    proofs: list[admission_proof.Proven]
    seconds: float
    warnings: list[str] = field(default_factory=list)


@dataclass
class Destroyed:
    """What `destroy` did, and what it left on purpose."""

    counts: dict[str, int]
    retained: list[retained_resources.Kept]
    """What is kept, where and why."""
    pending_keys: list[str]
    """KMS keys that AWS deletes after their waiting period."""
    seconds: float


def up(
    stack: Stack,
    *,
    say: Say,
    watcher: Watcher | None = None,
    answers: Answers = NO_ANSWERS,
    in_place: bool = False,
    checked: bool = False,
    approval: Approval | None = None,
) -> Built:
    """Build the stack.

    Contracts are checked first, then tools and clusters, so that bad input and a bad environment leave
    nothing half-made. Then what an earlier run left open is decided (`answers`: what the user found out
    about it), a plan that moves workloads is held to what stands (`in_place`: what leaves no room for its
    successor may go first), admission is proved where a restricted class is in use, and all is built.
    `checked`: the files have been, with those of the whole estate. `approval`: nothing else is done; `Refused`
    where it is no longer what would be.
    """
    started = time.monotonic()
    platform = stack.platform()
    rendered = None
    if not checked:
        rendered = preflight.of_files(stack, platform, say)[stack.name]
        say("the plan, the blueprint and the overrides are valid")
    if stack.layer in ("all", "platform"):
        for line in emergency_access.read(stack.project.stacks_dir, stack.family, platform).said:
            say(line)
    with at_work(stack):
        reached = clusters(stack.reached(platform), stack)
        for site, one in reached.items():
            say(f"site {site}: the cluster answers at {one.server}")
        if stack.layer in ("all", "platform"):
            preflight.of_clusters(platform, reached, say)
        estate_layers.before_up(stack, platform, in_place=in_place)
        if stack.layer in ("all", "platform"):
            # Before anything that could settle on a machine with GPUs.
            kubernetes_nodes.taints_are_set(platform, reached, say)
        engine = Engine(stack, say) if approval is None else _approved(stack, approval, say, watcher)
        engine.keep_copy()
        exported = recovery.settle(stack, engine, say, answers)
        state = exported.get("deployment") or {}
        stands = estate_migration.there(estate_migration.standing(state), reached)
        move = estate_layers.move(stands, platform, stack)
        estate_migration.allow(move, platform, stack.name, in_place=in_place, say=say)
        retained_resources.let_go(engine, exported, lambda: _asked_for(stack, rendered), say)
        runs: list[Run | None] = []
        with _settled_after(stack, engine), watchdog.watched(reached, say):
            with estate_migration.told(stands):
                first, proofs = _admission(stack, engine, platform, reached, state, say, watcher)
            runs.append(first)
            if move.first:
                # Not before all that may be refused has been: from here on somebody gets no answers.
                state = engine.state()
                runs.append(estate_migration.make_room(engine, state, move, watcher))
                state = engine.state()
                stands = estate_migration.there(estate_migration.standing(state), reached)
            with estate_migration.told(stands):
                runs.append(engine.up(watcher, expected=_size(state)))
            if move.beside:
                say("what is no longer in the plan is gone: quotas are the plan's own again")
                with estate_migration.told([]):
                    runs.append(engine.up(watcher, expected=_size(state)))
        if stack.layer in ("all", "platform"):
            # A patch of an earlier version that owned the taints has let go of them.
            kubernetes_nodes.taints_are_set(platform, reached, say)
        with contextlib.suppress(IsthmusError):
            # What a later accident needs is this state; a full disk does not undo what is built.
            engine.keep_copy()
        outputs = engine.outputs()
    return Built(
        platform=platform,
        outputs=outputs,
        counts=_added(*runs),
        changed={urn: kind for run in runs if run for urn, kind in run.changed_urns.items()},
        replacements={urn: why for run in runs if run for urn, why in run.replacements.items()},
        proofs=proofs,
        seconds=time.monotonic() - started,
        warnings=[line for run in runs if run for line in run.warnings],
    )


def _approved(stack: Stack, approval: Approval, say: Say, watcher: Watcher | None) -> Engine:
    from isthmus.engine.run.approved_run import Approved

    return Approved(stack, approval, say, watcher)


def _asked_for(stack: Stack, rendered: Rendered | None) -> frozenset[str]:
    """The URNs of all that the stack's program makes; run here where the files were checked in another process."""
    from isthmus.engine.render import rendering

    return frozenset(each.urn for each in (rendered or rendering.render(stack)).resources)


def destroy(
    stack: Stack, *, say: Say, watcher: Watcher | None = None, answers: Answers = NO_ANSWERS
) -> Destroyed:
    """Take the stack down and say what stays."""
    started = time.monotonic()
    with at_work(stack):
        estate_layers.before_destroy(stack)
        engine = Engine(stack, say)
        engine.keep_copy()
        exported = recovery.settle(stack, engine, say, answers)
        state = exported.get("deployment") or {}
        retained_resources.refuse_others(state, stack.name)
        retained_resources.let_go(engine, exported, frozenset, say)
        there = _there(stack)
        with watchdog.watched(there, say):
            run = engine.destroy(watcher, expected=_size(state))
        if there and stack.layer in ("all", "platform"):
            kubernetes_nodes.taints_are_removed(stack.platform(), there, say)
    # The engine's step for what is retained is a deletion too, from the state alone.
    kept = len(retained_resources.retained(state))
    counts = {**run.counts, "delete": max(0, run.counts.get("delete", 0) - kept), "retain": kept}
    return Destroyed(
        counts=counts,
        retained=retained_resources.kept(state),
        pending_keys=_pending_keys(state),
        seconds=time.monotonic() - started,
    )


def _there(stack: Stack) -> dict[str, Cluster]:
    """The clusters that answer before a destroy; none where the stack's files no longer say which."""
    try:
        return clusters(stack.reached(stack.platform()), stack)
    except IsthmusError:
        return {}


@contextlib.contextmanager
def _settled_after(stack: Stack, engine: Engine) -> Iterator[None]:
    """Decide at once what a failure left open, where cluster and account can still be asked.

    What cannot be decided now is written down (`unanswered`), and is the next run's; a folder that is
    thrown away after each run, as in CI, would lose it.
    """
    try:
        yield
    except IsthmusError:
        with contextlib.suppress(IsthmusError):
            recovery.settle(stack, engine, lambda _: None)
        raise


def _admission(
    stack: Stack,
    engine: Engine,
    platform: Platform,
    reached: dict[str, Cluster],
    state: dict[str, Any],
    say: Say,
    watcher: Watcher | None,
) -> tuple[Run | None, list[admission_proof.Proven]]:
    """Have each cluster with a restricted class refuse before anything is sent there.

    The program makes no more than the policies and their namespaces then (`UP_STEP`), and what the state
    holds besides is left as it is. Not the engine's `--target`: what is not targeted and not yet made has
    outputs of None in the program, not unknown ones, and nothing that reads them can work.
    """
    sites = {each.site for each in [*platform.endpoints, *platform.gateways] if each.class_ == "restricted"}
    guarded = {site: reached[site] for site in sorted(sites) if site in reached}
    if not guarded:
        return None, []
    registry = sorted(platform.images.registries)[0]
    namespace = "isthmus-restricted"
    first = None
    bare = next(
        (site for site, one in guarded.items() if not admission_proof.in_force(one, namespace, registry)),
        None,
    )
    if bare is not None and stack.layer == "serving":
        raise EnvironmentFault(
            f"the cluster does not refuse foreign images in {namespace}, which the layer below sees to",
            where=f"site {bare}",
            fix="Run `isthmus up` for the estate's platform layer first",
        )
    if bare is not None:
        say("building the admission policies first, before anything that they guard")
        os.environ[UP_STEP] = "admission"
        try:
            first = engine.up(watcher, exclude=_besides_first(state) or None)
        finally:
            del os.environ[UP_STEP]
    proofs = []
    for site, one in guarded.items():
        proofs.append(admission_proof.prove(one, namespace, registry))
        say(f"site {site}: the cluster refuses AWS credentials and foreign images in {namespace}")
    return first, proofs


def _besides_first(state: dict[str, Any]) -> list[str]:
    """URNs of what a state holds beyond the first step: a component's children bear its type in theirs."""
    return [
        each["urn"]
        for each in state.get("resources") or []
        if not any(kind in each["urn"] for kind in FIRST)
        and not each["type"].startswith(("pulumi:", "isthmus:index:LlmPlatform"))
    ]


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


def _pending_keys(state: dict[str, Any]) -> list[str]:
    return [
        str((each.get("outputs") or {}).get("arn") or each.get("id"))
        for each in state.get("resources") or []
        if each["type"] == "aws:kms/key:Key" and not each.get("retainOnDelete")
    ]
