"""The steps of `isthmus up` and `isthmus destroy`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from isthmus.blueprints import emergency_access
from isthmus.contracts.vocabulary import UP_STEP
from isthmus.core.errors import EnvironmentFault, IsthmusError
from isthmus.engine.automation.events import Run, Watcher
from isthmus.engine.automation.stack_engine import Engine
from isthmus.engine.estate import layers as estate_layers
from isthmus.engine.estate import migration as estate_migration
from isthmus.engine.foreign import search as foreign_search
from isthmus.engine.foreign import set_back
from isthmus.engine.foreign.set_back import SetBack
from isthmus.engine.kubernetes import admission_proof, watchdog
from isthmus.engine.kubernetes import nodes as kubernetes_nodes
from isthmus.engine.project import pins
from isthmus.engine.project.prerequisites import clusters
from isthmus.engine.project.project import Stack
from isthmus.engine.recovery import recovery
from isthmus.engine.recovery.recovery import NO_ANSWERS, Answers
from isthmus.engine.run import preflight, retained_resources
from isthmus.engine.state.locks import exclusive_stack_run

if TYPE_CHECKING:
    from isthmus.contracts.platform.migration.capacity import Move, Standing
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.core.kubernetes_client import KubeClient
    from isthmus.engine.render.rendering import Rendered
    from isthmus.engine.run.approval import Approval

Say = Callable[[str], None]

FIRST_COMPONENTS = ("isthmus:index:AdmissionGuard", "isthmus:index:ClassNamespace")
"""Components built first if a class is restricted: the admission policies and the namespaces that they guard."""


@dataclass
class Built:
    """Result of `up`."""

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
    set_back: list[str] = field(default_factory=list)
    """Objects of which entries of others were set back, with the entries and their field managers."""


@dataclass
class Destroyed:
    """Result of `destroy`."""

    counts: dict[str, int]
    retained: list[retained_resources.RetainedResource]
    """Resources that were left in place, and why."""
    pending_keys: list[str]
    """ARNs of KMS keys that AWS deletes after their waiting period."""
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
    """Build or update the stack.

    Files are checked first, then tools and clusters, so that bad input or a bad environment leaves nothing half-built.
    Then interrupted creations of an earlier run are decided, with the user's `answers`. A plan that moves workloads is
    compared with the deployed endpoints; `in_place` allows old endpoints to go first. If a class is restricted,
    admission is built and proved first. Then everything is built.

    `checked`: the caller has checked the files of the whole estate. `approval`: apply only these changes; raises
    `Refused` if a fresh preview differs.
    """
    started = time.monotonic()
    platform = stack.platform()
    rendered = _check_inputs(stack, platform, say, checked=checked)
    with exclusive_stack_run(stack):
        reached = _connect(stack, platform, say)
        estate_layers.before_up(stack, platform, in_place=in_place)
        if stack.layer in ("all", "platform"):
            # Before any pod could be scheduled on a node with GPUs.
            kubernetes_nodes.set_taints(platform, reached, say)
        engine = Engine(stack, say) if approval is None else _approved_engine(stack, approval, say, watcher)
        engine.keep_copy()
        exported = recovery.settle(stack, engine, say, answers)
        state = exported.get("deployment") or {}
        endpoints = estate_migration.confirm_in_clusters(estate_migration.gpu_endpoints(state), reached)
        move = estate_layers.plan_move(endpoints, platform, stack)
        estate_migration.check_allowed(move, platform, stack.name, in_place=in_place, say=say)
        retained_resources.release_dropped(engine, exported, lambda: _program_urns(stack, rendered), say)
        # First: an opened admission policy would fail its proof, and an opened network policy must not wait.
        restored = _set_back(stack, platform, state, reached, engine, say)
        update = _Update(stack, platform, engine, reached, say, watcher)
        with _settle_on_failure(stack, engine), watchdog.watch_clusters(reached, say):
            runs, proofs = update.run(state, endpoints, move)
        if stack.layer in ("all", "platform"):
            # Again: a patch of an earlier version owned the taints, and removed them when it was deleted.
            kubernetes_nodes.set_taints(platform, reached, say)
        with contextlib.suppress(IsthmusError):
            # Recovery needs this backup, but a full disk must not fail a finished run.
            engine.keep_copy()
        outputs = engine.outputs()
        if restored.objects:
            search = foreign_search.search_of(stack, platform, engine.state(), reached, say)
            set_back.check(search, restored, stack.name)
    built = _built(platform, outputs, runs, proofs, time.monotonic() - started)
    return replace(built, set_back=[foreign.described for foreign in restored.objects])


@dataclass
class _Update:
    """The runs of the engine that update a stack, in the order that keeps guarded resources guarded."""

    stack: Stack
    platform: Platform
    engine: Engine
    reached: dict[str, KubeClient]
    """Site → its cluster."""
    say: Say
    watcher: Watcher | None

    def run(
        self, state: dict[str, Any], endpoints: list[Standing], move: Move
    ) -> tuple[list[Run | None], list[admission_proof.Proven]]:
        """Build admission, remove old endpoints if the GPUs have no room beside them, then build everything.

        `state` is the state before, `endpoints` are its endpoints on GPUs. Returns the runs in their order, and the
        proofs that the clusters refuse what they must.
        """
        with estate_migration.shared_with_program(endpoints):
            first, proofs = self.build_admission(state)
        runs = [first]
        if move.first:
            # After every check that may refuse: from here on the moved workloads get no answers.
            state = self.engine.state()
            runs.append(estate_migration.make_room(self.engine, state, move, self.watcher))
            state = self.engine.state()
            endpoints = estate_migration.confirm_in_clusters(
                estate_migration.gpu_endpoints(state), self.reached
            )
        with estate_migration.shared_with_program(endpoints):
            runs.append(self.build_all(state))
        if move.beside:
            self.say("old endpoints are removed; the quotas are set to the plan's own values")
            with estate_migration.shared_with_program([]):
                runs.append(self.build_all(state))
        return runs, proofs

    def build_all(self, state: dict[str, Any]) -> Run:
        return self.engine.up(self.watcher, expected=_custom_resource_count(state))

    def build_admission(self, state: dict[str, Any]) -> tuple[Run | None, list[admission_proof.Proven]]:
        """Build the admission policies of each cluster with a restricted class first, and prove that they refuse.

        In this step (`UP_STEP`) the program has only the policies and their namespaces; everything else in the state
        stays. The engine's `--target` does not work here: outputs of untargeted new resources are None rather than
        unknown, and code that reads them fails.
        """
        sites = {
            server.site
            for server in [*self.platform.endpoints, *self.platform.gateways]
            if server.class_ == "restricted"
        }
        guarded = {site: self.reached[site] for site in sorted(sites) if site in self.reached}
        if not guarded:
            return None, []
        registry = sorted(self.platform.images.registries)[0]
        namespace = "isthmus-restricted"
        first_run = None
        unguarded = next(
            (
                site
                for site, cluster in guarded.items()
                if not admission_proof.is_enforced(cluster, namespace, registry)
            ),
            None,
        )
        if unguarded is not None and self.stack.layer == "serving":
            raise EnvironmentFault(
                f"the cluster does not refuse foreign images in {namespace}; the platform layer must set this up",
                where=f"site {unguarded}",
                fix="Run `isthmus up` for the estate's platform layer first",
            )
        if unguarded is not None:
            self.say("building the admission policies first, before the resources that they guard")
            os.environ[UP_STEP] = "admission"
            try:
                first_run = self.engine.up(self.watcher, exclude=_urns_outside_first_step(state) or None)
            finally:
                del os.environ[UP_STEP]
        proofs = []
        for site, cluster in guarded.items():
            proofs.append(admission_proof.prove(cluster, namespace, registry))
            self.say(f"site {site}: the cluster refuses AWS credentials and foreign images in {namespace}")
        return first_run, proofs


def _check_inputs(stack: Stack, platform: Platform, say: Say, *, checked: bool) -> Rendered | None:
    """Check the stack's files, unless the caller has, and report emergency accesses. Returns the rendering, if made."""
    rendered = None
    if not checked:
        rendered = preflight.check_files(stack, platform, say)[stack.name]
        say("the plan, the blueprint and the overrides are valid")
    if stack.layer in ("all", "platform"):
        for line in emergency_access.read(stack.project.stacks_dir, stack.family, platform).notes:
            say(line)
    return rendered


def _connect(stack: Stack, platform: Platform, say: Say) -> dict[str, KubeClient]:
    """Site → its cluster, after each has answered and passed the checks."""
    reached = clusters(stack.reached(platform), stack)
    for site, cluster in reached.items():
        say(f"site {site}: the cluster answers at {cluster.server}")
    if unpinned := pins.unpinned_sites(platform, reached):
        names = ", ".join(unpinned)
        say(
            f"no pin says which cluster {names} is; `isthmus trust pin {stack.name}` prints the lines to commit"
        )
    if stack.layer in ("all", "platform"):
        preflight.check_clusters(platform, reached, say)
    return reached


def _set_back(
    stack: Stack,
    platform: Platform,
    state: dict[str, Any],
    reached: dict[str, KubeClient],
    engine: Engine,
    say: Say,
) -> SetBack:
    """Set back what others added to the stack's live objects, before the engine runs."""
    search = foreign_search.search_of(stack, platform, state, reached, say)
    found = search.find()
    for line in found.unread:
        say(f"what others added is unknown: {line}")
    if found.objects:
        engine.before_setting_back(foreign.resource.urn for foreign in found.objects)
    return set_back.set_back(search, found.objects, say)


def _built(
    platform: Platform,
    outputs: dict[str, Any],
    runs: list[Run | None],
    proofs: list[admission_proof.Proven],
    seconds: float,
) -> Built:
    """The result of `up`, summed over its runs of the engine."""
    return Built(
        platform=platform,
        outputs=outputs,
        counts=_sum_counts(*runs),
        changed={urn: kind for run in runs if run for urn, kind in run.changed_urns.items()},
        replacements={urn: properties for run in runs if run for urn, properties in run.replacements.items()},
        proofs=proofs,
        seconds=seconds,
        warnings=[line for run in runs if run for line in run.warnings],
    )


def _approved_engine(stack: Stack, approval: Approval, say: Say, watcher: Watcher | None) -> Engine:
    from isthmus.engine.run.approved_run import ApprovedEngine

    return ApprovedEngine(stack, approval, say, watcher)


def _program_urns(stack: Stack, rendered: Rendered | None) -> frozenset[str]:
    """URNs of the stack's program; rendered here if the files were checked in another process."""
    from isthmus.engine.render import rendering

    return frozenset(resource.urn for resource in (rendered or rendering.render(stack)).resources)


def destroy(
    stack: Stack, *, say: Say, watcher: Watcher | None = None, answers: Answers = NO_ANSWERS
) -> Destroyed:
    """Destroy the stack, and report what is retained."""
    started = time.monotonic()
    with exclusive_stack_run(stack):
        estate_layers.before_destroy(stack)
        engine = Engine(stack, say)
        engine.keep_copy()
        exported = recovery.settle(stack, engine, say, answers)
        state = exported.get("deployment") or {}
        retained_resources.refuse_protected(state, stack.name)
        retained_resources.release_dropped(engine, exported, frozenset, say)
        clusters_by_site = _answering_clusters(stack)
        with watchdog.watch_clusters(clusters_by_site, say):
            run = engine.destroy(watcher, expected=_custom_resource_count(state))
        if clusters_by_site and stack.layer in ("all", "platform"):
            kubernetes_nodes.remove_taints(stack.platform(), clusters_by_site, say)
    # The engine counts a retained resource as a deletion, although it only leaves the state.
    retained_count = len(retained_resources.retained(state))
    counts = {
        **run.counts,
        "delete": max(0, run.counts.get("delete", 0) - retained_count),
        "retain": retained_count,
    }
    return Destroyed(
        counts=counts,
        retained=retained_resources.describe_retained(state),
        pending_keys=_pending_keys(state),
        seconds=time.monotonic() - started,
    )


def _answering_clusters(stack: Stack) -> dict[str, KubeClient]:
    """The stack's clusters before a destroy; empty if the files are invalid or a cluster does not answer."""
    try:
        return clusters(stack.reached(stack.platform()), stack)
    except pins.WrongCluster:
        raise
    except IsthmusError:
        return {}


@contextlib.contextmanager
def _settle_on_failure(stack: Stack, engine: Engine) -> Iterator[None]:
    """After a failure, decide interrupted creations at once, if cluster and account still answer.

    Otherwise they stay in the list of unconfirmed creations for the next run. A CI job loses that list with its folder.
    """
    try:
        yield
    except IsthmusError:
        with contextlib.suppress(IsthmusError):
            recovery.settle(stack, engine, lambda _: None)
        raise


def _urns_outside_first_step(state: dict[str, Any]) -> list[str]:
    """URNs of a state outside the first step. The type of a parent component is part of its children's URNs."""
    return [
        resource["urn"]
        for resource in state.get("resources") or []
        if not any(kind in resource["urn"] for kind in FIRST_COMPONENTS)
        and not resource["type"].startswith(("pulumi:", "isthmus:index:LlmPlatform"))
    ]


def _sum_counts(*runs: Run | None) -> dict[str, int]:
    """Counts over several runs; the last run tells how many resources stayed the same."""
    counts: dict[str, int] = {}
    present = [run for run in runs if run]
    for run in present:
        for kind, number in run.counts.items():
            if kind != "same":
                counts[kind] = counts.get(kind, 0) + number
    earlier = sum(number for run in present[:-1] for kind, number in run.counts.items() if kind != "same")
    counts["same"] = max(0, present[-1].counts.get("same", 0) - earlier)
    return counts


def _custom_resource_count(state: dict[str, Any]) -> int:
    """Number of custom resources in a state, without providers."""
    return sum(
        1
        for resource in state.get("resources") or []
        if resource.get("custom") and not resource["type"].startswith("pulumi:")
    )


def _pending_keys(state: dict[str, Any]) -> list[str]:
    return [
        str((resource.get("outputs") or {}).get("arn") or resource.get("id"))
        for resource in state.get("resources") or []
        if resource["type"] == "aws:kms/key:Key" and not resource.get("retainOnDelete")
    ]
