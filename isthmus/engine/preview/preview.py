"""`isthmus preview`: shows what `isthmus up` would do to a stack, from a preview of the engine.

Every error becomes a preview with the status failed or partial, so that a failure never looks like "no changes".
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from isthmus import blueprints
from isthmus.contracts.platform.migration import capacity as moves
from isthmus.contracts.platform.migration.capacity import Standing
from isthmus.contracts.reports.preview import Diagnostic, Preview
from isthmus.core.errors import InputError, IsthmusError, Refused
from isthmus.engine.automation.events import Run, Watcher
from isthmus.engine.automation.stack_engine import Engine, NotThere
from isthmus.engine.estate import layers as estate_layers
from isthmus.engine.estate import migration as estate_migration
from isthmus.engine.kubernetes import watchdog
from isthmus.engine.policy import evaluation as policy_evaluation
from isthmus.engine.policy import exceptions as policy_exceptions
from isthmus.engine.preview import assembly as preview_assembly
from isthmus.engine.preview import comparison as preview_comparison
from isthmus.engine.preview.assembly import PreviewDraft, Side
from isthmus.engine.preview.changes import counts
from isthmus.engine.preview.engine_steps import Account
from isthmus.engine.preview.masking import Masker
from isthmus.engine.project import commits
from isthmus.engine.project.prerequisites import clusters
from isthmus.engine.state.locks import exclusive_stack_run
from isthmus.graph.data_path import paths
from isthmus.graph.resources import state as graph_state
from isthmus.graph.resources.resources import Graph, Resource
from isthmus.reports.preview.cost_and_capacity import prices_match

if TYPE_CHECKING:
    from pathlib import Path

    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.policy_settings import Settings
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.core.kubernetes_client import KubeClient
    from isthmus.engine.project.project import Stack
    from isthmus.engine.render.rendering import Rendered

Say = Callable[[str], None]


class Look(Protocol):
    """Looks at the live objects of a deployed stack, and adds what it finds to the draft."""

    def __call__(
        self,
        stack: Stack,
        platform: Platform,
        state: Mapping[str, Any],
        clusters_by_site: Mapping[str, KubeClient],
        draft: PreviewDraft,
    ) -> None: ...


_SECRET_VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "PULUMI_ACCESS_TOKEN",
    "PULUMI_CONFIG_PASSPHRASE",
)
NOT_PRICED = (
    "the overrides set another number of GPUs than the plan, so the cost a month is unknown. Put the change into the"
    " requirements and plan again; then the override is not needed"
)
_MIN_SECRET_LENGTH = 20
"""Shorter values of variables are dummies, or words that also occur elsewhere."""


@dataclass(frozen=True)
class Previewed:
    """A preview, and the error that ended it, if any."""

    preview: Preview
    error: IsthmusError | None = None


def preview(
    stack: Stack,
    *,
    say: Say,
    watcher: Watcher | None = None,
    alone: bool = False,
    plan: Path | None = None,
    look: Look | None = None,
) -> Previewed:
    """Preview the engine's part of `isthmus up` of the stack. Changes and creates nothing.

    A stack without state is previewed from its rendering: everything is created. `alone`: the caller already holds the
    stack's lock. `plan`: path for the engine's update plan. `look`: adds what the engine does not see.
    """
    draft = PreviewDraft(stack.name, commit=commits.head(stack.project.root))
    try:
        platform = stack.platform()
        rendered = render_checked(stack)
        say(f"{stack.name}: the plan, the blueprint and the overrides are valid")
        resources, settings = resources_of_estate(rendered), policy_evaluation.settings([stack])
        draft.after = side_of_files(stack, platform, resources, settings)
        draft.exceptions = policy_exceptions.exceptions(stack)
        draft.candidates = policy_evaluation.candidates(platform, settings)
        draft.findings = policy_evaluation.findings(stack, resources, platform, settings)
        with contextlib.nullcontext() if alone else exclusive_stack_run(stack):
            _preview_with_engine(stack, platform, rendered, draft, say, watcher, plan, look)
    except IsthmusError as error:
        shown = failed_preview(stack, error, draft)
        hide = draft.masker.text
        return Previewed(shown, type(error)(hide(error.what), where=hide(error.where), fix=hide(error.fix)))
    return Previewed(preview_assembly.preview(draft))


def failed_preview(stack: Stack, error: IsthmusError, draft: PreviewDraft | None = None) -> Preview:
    """The preview with status failed, for a stack whose changes are unknown.

    If the plan is refused because of a placement, the forbidden data paths are included.
    """
    failed_draft = draft or PreviewDraft(stack.name, commit=commits.head(stack.project.root))
    failed_draft.status = "failed"
    # Reports must not depend on the checkout's folder.
    message = " ".join(str(error).split()).replace(f"{stack.project.root}{os.sep}", "")
    failed_draft.diagnostics.insert(
        0, Diagnostic(severity="error", message=failed_draft.masker.text(message))
    )
    if isinstance(error, Refused) and failed_draft.after.plan is None:
        failed_draft.after = refused_side(stack)
    return preview_assembly.preview(failed_draft)


def refused_side(stack: Stack) -> Side:
    """The forbidden data paths of a refused plan, if its files can be read."""
    from isthmus.reports.preview import refused_paths

    try:
        requirements, plan = read_plan_files(stack)
    except IsthmusError:
        return Side()
    paths = refused_paths.refused_paths(plan, requirements)
    return Side(plan, requirements, paths) if paths else Side()


def side_of_files(
    stack: Stack, platform: Platform, resources: Sequence[Resource], settings: Settings
) -> Side:
    """The stack after the change, from its files: plan, requirements, endpoints and data paths."""
    # The files were already validated to build the platform.
    files = blueprints.read(stack.project.stacks_dir, stack.family)
    resolving = policy_evaluation.resolving(resources, platform, settings)
    return Side(
        files.plan,
        files.requirements,
        paths.data_paths(Graph(resources), platform, resolving=resolving),
        tuple(moves.built_endpoints(platform)),
        prices_match(files.plan, {endpoint.id: endpoint.gpus for endpoint in platform.endpoints}),
        resolving,
    )


def resources_of_estate(rendered: Mapping[str, Rendered]) -> list[Any]:
    """The rendered resources of all stacks of an estate."""
    return [resource for stack_rendering in rendered.values() for resource in stack_rendering.resources]


def side_of_state(
    state: Mapping[str, Any],
    other_states: Sequence[Mapping[str, Any]],
    platform: Platform,
    now: Side,
    diagnostics: list[Diagnostic],
) -> Side:
    """The stack before the change, from its state. `other_states`: states of the other stacks of its estate.

    Data paths are judged by today's platform, because the state has no residencies.
    """
    deployed_plan = next(
        (
            plan
            for candidate in (state, *other_states)
            if (plan := estate_migration.stack_outputs(candidate).get("plan"))
        ),
        None,
    )
    states = [candidate for candidate in (state, *other_states) if candidate.get("resources")]
    if not states:
        return Side()
    data_paths = paths.data_paths(
        Graph(graph_state.from_state(*({"deployment": deployment} for deployment in states))),
        platform,
        resolving=now.resolving,
    )
    plan = _deployed_plan(deployed_plan, diagnostics)
    same_requirements = (
        plan is not None and now.plan is not None and now.plan.requirements_sha256 == plan.requirements_sha256
    )
    built = _deployed_endpoints(states)
    # An autoscaled endpoint is recorded with its maximum size, but the plan prices its initial size.
    max_gpus = {endpoint.id: endpoint.total for endpoint in now.built}
    scaled_endpoints = {
        endpoint.id
        for endpoint in platform.endpoints
        if max_gpus.get(endpoint.id, endpoint.gpus) != endpoint.gpus
    }
    fixed_sizes = {endpoint.id: endpoint.total for endpoint in built if endpoint.id not in scaled_endpoints}
    return Side(
        plan,
        now.requirements if same_requirements else None,
        data_paths,
        built,
        plan is None or prices_match(plan, fixed_sizes),
    )


def _deployed_endpoints(states: Iterable[Mapping[str, Any]]) -> tuple[Standing, ...]:
    """Endpoints on GPUs from the stacks' outputs; empty if another version wrote them in another format."""
    from pydantic import ValidationError

    records = [
        record
        for state in states
        for record in estate_migration.stack_outputs(state).get(moves.STANDING_OUTPUT) or []
    ]
    try:
        return tuple(moves.Standing.model_validate(record) for record in records)
    except ValidationError:
        return ()


def _deployed_plan(document: Any, diagnostics: list[Diagnostic]) -> Plan | None:
    """The plan in a stack's outputs; None, with a warning, if its format is of another version."""
    from pydantic import ValidationError

    from isthmus.contracts.plan.document import Plan

    if not document:
        return None
    try:
        # Outputs omit null, but the price of an alternative is a required field that may be null.
        return Plan.model_validate_json(json.dumps({**document, "alternatives": None}))
    except ValidationError:
        diagnostics.append(
            Diagnostic(
                severity="warning",
                message="the deployed plan is of another version of Isthmus: cost and capacity before the change are"
                " unknown",
            )
        )
        return None


def _preview_with_engine(
    stack: Stack,
    platform: Platform,
    rendered: Mapping[str, Rendered],
    draft: PreviewDraft,
    say: Say,
    watcher: Watcher | None,
    plan: Path | None,
    look: Look | None,
) -> None:
    clusters_by_site = clusters(stack.reached(platform), stack)
    for site, cluster in clusters_by_site.items():
        say(f"site {site}: the cluster answers at {cluster.server}")
    try:
        engine = Engine(stack, say, look=True)
    except NotThere:
        _preview_new_stack(rendered[stack.name], draft)
        return
    draft.masker = Masker([*engine.secrets(), *environment_secrets()])
    state = engine.state()
    other_states = [estate_layers.read_state(stack, name) for name in sibling_names(stack)]
    if not draft.after.priced:
        draft.diagnostics.append(Diagnostic(severity="warning", message=NOT_PRICED))
    draft.before = side_of_state(state, other_states, platform, draft.after, draft.diagnostics)
    endpoints = estate_migration.confirm_in_clusters(estate_migration.gpu_endpoints(state), clusters_by_site)
    _warn_of_move(stack, platform, endpoints, draft)
    account = Account()
    try:
        with watchdog.watch_clusters(clusters_by_site, say), estate_migration.shared_with_program(endpoints):
            engine.preview(account.on_event, ProgressOnlyWatcher(watcher) if watcher else None, plan=plan)
    finally:
        draft.changes = account.changes(draft.masker)
        draft.summary = account.summary()
        draft.diagnostics += account.diagnostics(draft.masker)
        draft.findings += account.findings(stack.name, draft.masker)
    if look is not None:
        look(stack, platform, state, clusters_by_site, draft)
    if account.missing:
        draft.status = "partial"
        draft.diagnostics.append(Diagnostic(severity="error", message=account.missing))


def _preview_new_stack(rendered: Rendered, draft: PreviewDraft) -> None:
    draft.changes = preview_comparison.compare([], rendered.resources)
    made_urns = {
        resource.urn for resource in rendered.resources if resource.made or "read" in resource.options
    }
    draft.summary = counts(change.op for change in draft.changes if change.urn in made_urns)
    draft.diagnostics.append(
        Diagnostic(
            severity="warning",
            message="the stack is not deployed yet: changes come from its rendering, and no provider was asked",
        )
    )


def _warn_of_move(stack: Stack, platform: Platform, endpoints: Sequence[Any], draft: PreviewDraft) -> None:
    from isthmus.contracts.platform.migration import messages as migration_messages

    try:
        estate_layers.before_up(stack, platform, in_place=False)
        refusal = migration_messages.refusal(
            estate_layers.plan_move(endpoints, platform, stack), platform, stack.name
        )
    except (Refused, InputError) as error:
        refusal = error
    if refusal is not None:
        text = " ".join(str(refusal).split())
        draft.diagnostics.append(
            Diagnostic(severity="warning", message=f"`isthmus up` will refuse this: {text}")
        )


def render_checked(stack: Stack) -> dict[str, Rendered]:
    """Render the whole estate. Raises `InputError` for an unexpected exception of the program."""
    from isthmus.engine.render import rendering as render

    try:
        return render.render_estate(stack)
    except IsthmusError:
        raise
    except Exception as error:
        raise InputError(
            f"the program raised {type(error).__name__}: {error}",
            where=f"stack {stack.name}",
            fix="Fix the program; --debug shows a traceback",
        ) from error


def read_plan_files(stack: Stack) -> tuple[Requirements, Plan]:
    """Requirements and plan of the stack's platform, without checking them against each other."""
    from isthmus.contracts.plan import document as plans
    from isthmus.contracts.requirements import document as wanted

    folder = stack.project.stacks_dir
    return (
        wanted.load(folder / f"{stack.family}.requirements.yaml"),
        plans.load(folder / f"{stack.family}.plan.yaml"),
    )


def sibling_names(stack: Stack) -> list[str]:
    """Names of the other stacks of its estate."""
    if stack.estate is None:
        return []
    return [member.stack for member in stack.estate.members if member.stack != stack.name]


def environment_secrets() -> list[str]:
    """Secrets in this process's environment variables."""
    return [
        value for name in _SECRET_VARIABLES if len(value := os.environ.get(name, "")) >= _MIN_SECRET_LENGTH
    ]


class ProgressOnlyWatcher:
    """Passes on progress without lines such as "created X", because a preview creates nothing."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def changed(self, run: Run, line: str | None) -> None:
        self._watcher.changed(run, None)
