"""`isthmus preview`: what `isthmus up` would do to a stack, from the engine's own account of it.

Whatever goes wrong on the way gives a preview that says so: a report without changes must never be one that could
not be made.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from isthmus.engine.preview import assembly as preview_assembly
from isthmus.engine.preview import comparison as preview_comparison
from isthmus.engine.preview.assembly import Parts, Side
from isthmus.engine.preview.changes import counts
from isthmus.engine.preview.engine_steps import Account
from isthmus.engine.preview.masking import Masker
from isthmus.engine.project import commits
from isthmus.engine.project.prerequisites import clusters
from isthmus.engine.run.up_and_destroy import at_work
from isthmus.graph.data_path import paths
from isthmus.graph.resources import state as graph_state
from isthmus.graph.resources.resources import Graph, Resource
from isthmus.reports.preview.cost_and_capacity import prices_match

if TYPE_CHECKING:
    from pathlib import Path

    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.engine.project.project import Stack
    from isthmus.engine.render.rendering import Rendered

Say = Callable[[str], None]
_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE")
NOT_PRICED = (
    "the overrides say another number of GPUs than the plan, whose prices are not of that: what a month costs is not"
    " known. Plan it, and the override is not needed"
)
_RANDOM = 20
"""A variable's value that is shorter is a dummy's, or a word that stands elsewhere too."""


@dataclass(frozen=True)
class Previewed:
    """A preview, and what went wrong while it was made."""

    preview: Preview
    error: IsthmusError | None = None


def preview(
    stack: Stack, *, say: Say, watcher: Watcher | None = None, alone: bool = False, plan: Path | None = None
) -> Previewed:
    """What `isthmus up` would do to the stack. Nothing is changed and nothing created.

    A stack that the backend does not have yet is previewed from its rendering: all of it would be made. `alone`: the
    caller is at work on the stack. `plan`: where the engine writes its update plan.
    """
    parts = Parts(stack.name, commit=commits.head(stack.project.root))
    try:
        platform = stack.platform()
        rendered = rendering(stack)
        say(f"{stack.name}: the plan, the blueprint and the overrides are valid")
        parts.after = after(stack, platform, every(rendered))
        parts.findings = policy_evaluation.findings(stack, every(rendered), platform)
        with contextlib.nullcontext() if alone else at_work(stack):
            _look(stack, platform, rendered, parts, say, watcher, plan)
    except IsthmusError as error:
        shown = failed(stack, error, parts)
        hide = parts.masker.text
        return Previewed(shown, type(error)(hide(error.what), where=hide(error.where), fix=hide(error.fix)))
    return Previewed(preview_assembly.preview(parts))


def failed(stack: Stack, error: IsthmusError, parts: Parts | None = None) -> Preview:
    """The preview of a stack of which it could not be found out what would change.

    Where a plan is refused for where it places a class, the way that its data would have taken is drawn.
    """
    made = parts or Parts(stack.name, commit=commits.head(stack.project.root))
    made.status = "failed"
    # Where the checkout lies is this machine's, and the report is the same on every one.
    said = " ".join(str(error).split()).replace(f"{stack.project.root}{os.sep}", "")
    made.diagnostics.insert(0, Diagnostic(severity="error", message=made.masker.text(said)))
    if isinstance(error, Refused) and made.after.plan is None:
        made.after = refused(stack)
    return preview_assembly.preview(made)


def refused(stack: Stack) -> Side:
    """What can be told of a plan that is refused: its paths that may not be, as far as its files can be read."""
    from isthmus.reports.preview import refused_paths

    try:
        requirements, plan = files(stack)
    except IsthmusError:
        return Side()
    paths = refused_paths.refused_paths(plan, requirements)
    return Side(plan, requirements, paths) if paths else Side()


def after(stack: Stack, platform: Platform, resources: Iterable[Resource]) -> Side:
    """What the stack's files say, and where data may go in what they are rendered to."""
    # Read and held together already, for the platform.
    files = blueprints.read(stack.project.stacks_dir, stack.family)
    return Side(
        files.plan,
        files.requirements,
        paths.data_paths(Graph(resources), platform),
        tuple(moves.standing(platform)),
        prices_match(files.plan, {each.id: each.gpus for each in platform.endpoints}),
    )


def every(rendered: Mapping[str, Rendered]) -> list[Any]:
    """The resources of a whole estate."""
    return [each for one in rendered.values() for each in one.resources]


def before(
    state: Mapping[str, Any],
    others: Sequence[Mapping[str, Any]],
    platform: Platform,
    now: Side,
    diagnostics: list[Diagnostic],
) -> Side:
    """What a state says of the stack as it was last built. `others`: those of the other stacks of its estate.

    Where data may go in it is judged by what is asked for today: an old graph says nothing of residencies.
    """
    said = next(
        (plan for one in (state, *others) if (plan := estate_migration.outputs_of(one).get("plan"))), None
    )
    states = [each for each in (state, *others) if each.get("resources")]
    if not states:
        return Side()
    ways = paths.data_paths(
        Graph(graph_state.from_state(*({"deployment": each} for each in states))), platform
    )
    plan = _deployed(said, diagnostics)
    same = (
        plan is not None and now.plan is not None and now.plan.requirements_sha256 == plan.requirements_sha256
    )
    built = _built(states)
    # What follows the load stands with the most that there may be, and the plan prices what it begins with.
    most = {each.id: each.total for each in now.built}
    follows = {each.id for each in platform.endpoints if most.get(each.id, each.gpus) != each.gpus}
    told = {each.id: each.total for each in built if each.id not in follows}
    return Side(
        plan, now.requirements if same else None, ways, built, plan is None or prices_match(plan, told)
    )


def _built(states: Iterable[Mapping[str, Any]]) -> tuple[Standing, ...]:
    """What stacks said of their endpoints on GPUs when they were last built; what another version said is left out."""
    from pydantic import ValidationError

    said = [each for one in states for each in estate_migration.outputs_of(one).get(moves.STANDING) or []]
    try:
        return tuple(moves.Standing.model_validate(each) for each in said)
    except ValidationError:
        return ()


def _deployed(said: Any, diagnostics: list[Diagnostic]) -> Plan | None:
    """The plan that a stack's outputs have."""
    from pydantic import ValidationError

    from isthmus.contracts.plan.document import Plan

    if not said:
        return None
    try:
        # The output leaves out what is null, and an alternative must say that it has no price.
        return Plan.model_validate_json(json.dumps({**said, "alternatives": None}))
    except ValidationError:
        diagnostics.append(
            Diagnostic(
                severity="warning",
                message="the plan that the stack was built from is of another version of Isthmus: what it cost and"
                " took before is not known",
            )
        )
        return None


def _look(
    stack: Stack,
    platform: Platform,
    rendered: Mapping[str, Rendered],
    parts: Parts,
    say: Say,
    watcher: Watcher | None,
    plan: Path | None,
) -> None:
    reached = clusters(stack.reached(platform), stack)
    for site, one in reached.items():
        say(f"site {site}: the cluster answers at {one.server}")
    try:
        engine = Engine(stack, say, look=True)
    except NotThere:
        _all_new(rendered[stack.name], parts)
        return
    parts.masker = Masker([*engine.secrets(), *of_environment()])
    state = engine.state()
    others = [estate_layers.state_of(stack, each) for each in siblings(stack)]
    if not parts.after.priced:
        parts.diagnostics.append(Diagnostic(severity="warning", message=NOT_PRICED))
    parts.before = before(state, others, platform, parts.after, parts.diagnostics)
    stands = estate_migration.there(estate_migration.standing(state), reached)
    _warn_of_move(stack, platform, stands, parts)
    account = Account()
    try:
        with watchdog.watched(reached, say), estate_migration.told(stands):
            engine.preview(account.on_event, Quiet(watcher) if watcher else None, plan=plan)
    finally:
        parts.changes = account.changes(parts.masker)
        parts.summary = account.summary()
        parts.diagnostics += account.diagnostics(parts.masker)
        parts.findings += account.findings(stack.name, parts.masker)
    if account.missing:
        parts.status = "partial"
        parts.diagnostics.append(Diagnostic(severity="error", message=account.missing))


def _all_new(rendered: Rendered, parts: Parts) -> None:
    parts.changes = preview_comparison.compare([], rendered.resources)
    made = {each.urn for each in rendered.resources if each.made or "read" in each.options}
    parts.summary = counts(each.op for each in parts.changes if each.urn in made)
    parts.diagnostics.append(
        Diagnostic(
            severity="warning",
            message="the stack does not stand yet: this is what its program asks for, and no provider was asked",
        )
    )


def _warn_of_move(stack: Stack, platform: Platform, stands: Sequence[Any], parts: Parts) -> None:
    from isthmus.contracts.platform.migration import messages as migration_messages

    try:
        estate_layers.before_up(stack, platform, in_place=False)
        no = migration_messages.refusal(estate_layers.move(stands, platform, stack), platform, stack.name)
    except (Refused, InputError) as error:
        no = error
    if no is not None:
        text = " ".join(str(no).split())
        parts.diagnostics.append(
            Diagnostic(severity="warning", message=f"`isthmus up` will refuse this: {text}")
        )


def rendering(stack: Stack) -> dict[str, Rendered]:
    """The whole estate's; a program that raises what it should not is told of as its error."""
    from isthmus.engine.render import rendering as render

    try:
        return render.render_estate(stack)
    except IsthmusError:
        raise
    except Exception as error:
        raise InputError(
            f"the program raised {type(error).__name__}: {error}",
            where=f"stack {stack.name}",
            fix="Mend the program; --debug shows where",
        ) from error


def files(stack: Stack) -> tuple[Requirements, Plan]:
    """The two files of its platform, each read by itself. Raises what reading them raises."""
    from isthmus.contracts.plan import document as plans
    from isthmus.contracts.requirements import document as wanted

    folder = stack.project.stacks_dir
    return (
        wanted.load(folder / f"{stack.family}.requirements.yaml"),
        plans.load(folder / f"{stack.family}.plan.yaml"),
    )


def siblings(stack: Stack) -> list[str]:
    """The other stacks of its estate."""
    if stack.estate is None:
        return []
    return [each.stack for each in stack.estate.members if each.stack != stack.name]


def of_environment() -> list[str]:
    """Secrets of this process' surroundings."""
    return [value for name in _SECRETS if len(value := os.environ.get(name, "")) >= _RANDOM]


class Quiet:
    """A watcher that is told how far it is, and of nothing that was done: nothing is."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def changed(self, run: Run, line: str | None) -> None:
        self._watcher.changed(run, None)
