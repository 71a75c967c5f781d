"""`isthmus preview`: what `isthmus up` would do to a stack, from the engine's own account of it.

Whatever goes wrong on the way gives a preview that says so: a report without changes must never be one that could
not be made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.contracts.errors import AnswerIsNo, EnvironmentFault, InputError, IsthmusError
from isthmus.contracts.preview import Diagnostic, Preview
from isthmus.engine import assembled, commits, comparing, layered, moving, silence
from isthmus.engine.assembled import Parts, Side
from isthmus.engine.automation import Engine, NotThere
from isthmus.engine.building import at_work
from isthmus.engine.changes import counts
from isthmus.engine.events import Run, Watcher
from isthmus.engine.masking import Masker
from isthmus.engine.steps import Account
from isthmus.engine.surroundings import clusters

if TYPE_CHECKING:
    from isthmus.contracts.plan import Plan
    from isthmus.contracts.platform import Platform
    from isthmus.contracts.requirements import Requirements
    from isthmus.engine.project import Stack
    from isthmus.engine.render import Rendered

Say = Callable[[str], None]
_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE")
_RANDOM = 20
"""A variable's value that is shorter is a dummy's, or a word that stands elsewhere too."""


@dataclass(frozen=True)
class Previewed:
    """A preview, and what went wrong while it was made."""

    preview: Preview
    error: IsthmusError | None = None


def preview(stack: Stack, *, say: Say, watcher: Watcher | None = None) -> Previewed:
    """What `isthmus up` would do to the stack. Nothing is changed and nothing created.

    A stack that the backend does not have yet is previewed from its rendering: all of it would be made.
    """
    parts = Parts(stack.name, commit=commits.head(stack.project.root))
    masker = Masker()
    try:
        platform = stack.platform()
        rendered = _rendered(stack)
        say(f"{stack.name}: the plan, the blueprint and the overrides are valid")
        parts.after = after(stack)
        with at_work(stack):
            masker = _look(stack, platform, rendered, parts, say, watcher)
    except IsthmusError as error:
        return Previewed(failed(stack, error, parts, masker), error)
    return Previewed(assembled.preview(parts))


def failed(
    stack: Stack, error: IsthmusError, parts: Parts | None = None, masker: Masker | None = None
) -> Preview:
    """The preview of a stack of which it could not be found out what would change.

    Where a plan is refused for where it places a class, the way that its data would have taken is drawn.
    """
    made = parts or Parts(stack.name, commit=commits.head(stack.project.root))
    made.status = "failed"
    text = (masker or Masker()).text(" ".join(str(error).split()))
    made.diagnostics.insert(0, Diagnostic(severity="error", message=text))
    if isinstance(error, AnswerIsNo) and made.after.plan is None:
        made.after = refused(stack)
    return assembled.preview(made)


def refused(stack: Stack) -> Side:
    """What can be told of a plan that is refused: its paths that may not be, as far as its files can be read."""
    from isthmus.report import refused_paths

    try:
        requirements, plan = _files(stack)
    except IsthmusError:
        return Side()
    paths = refused_paths.of_plan(plan, requirements)
    return Side(plan, requirements, paths) if paths else Side()


def after(stack: Stack) -> Side:
    """What the stack's files say."""
    requirements, plan = _files(stack)
    return Side(plan, requirements)


def before(state: Mapping[str, Any], now: Side, diagnostics: list[Diagnostic]) -> Side:
    """What a state says of the stack as it was last built."""
    from pydantic import ValidationError

    from isthmus.contracts.plan import Plan

    said = moving.outputs_of(state).get("plan")
    if not said:
        return Side()
    try:
        plan = Plan.model_validate_json(_json(said))
    except ValidationError:
        diagnostics.append(
            Diagnostic(
                severity="warning",
                message="the plan that the stack was built from is of another version of Isthmus: what it cost and"
                " took before is not known",
            )
        )
        return Side()
    same = now.plan is not None and now.plan.requirements_sha256 == plan.requirements_sha256
    return Side(plan, now.requirements if same else None)


def _look(
    stack: Stack,
    platform: Platform,
    rendered: Mapping[str, Rendered],
    parts: Parts,
    say: Say,
    watcher: Watcher | None,
) -> Masker:
    reached = clusters(stack.reached(platform), stack)
    for site, one in reached.items():
        say(f"site {site}: the cluster answers at {one.server}")
    try:
        engine = Engine(stack, say, look=True)
    except NotThere:
        _all_new(rendered[stack.name], parts)
        return Masker()
    masker = Masker([*engine.secrets(), *_of_environment()])
    state = engine.state()
    parts.before = before(state, parts.after, parts.diagnostics)
    stands = moving.there(moving.standing(state), reached)
    _warn_of_move(stack, platform, stands, parts)
    account = Account()
    try:
        with silence.watched(reached, say), moving.told(stands):
            engine.preview(account.on_event, _Quiet(watcher) if watcher else None)
    finally:
        parts.changes = account.changes(masker)
        parts.summary = account.summary()
        parts.diagnostics += account.diagnostics(masker)
        parts.findings = account.findings(stack.name, masker)
    if account.missing:
        parts.status = "partial"
        parts.diagnostics.append(Diagnostic(severity="error", message=account.missing))
    return masker


def _all_new(rendered: Rendered, parts: Parts) -> None:
    parts.changes = comparing.compare([], rendered.resources)
    made = {each.urn for each in rendered.resources if each.made or "read" in each.options}
    parts.summary = counts(each.op for each in parts.changes if each.urn in made)
    parts.diagnostics.append(
        Diagnostic(
            severity="warning",
            message="the stack does not stand yet: this is what its program asks for, and no provider was asked",
        )
    )


def _warn_of_move(stack: Stack, platform: Platform, stands: Sequence[Any], parts: Parts) -> None:
    from isthmus.contracts import moving_words

    try:
        layered.before_up(stack, platform, in_place=False)
        no = moving_words.refusal(layered.move(stands, platform, stack), platform, stack.name)
    except (AnswerIsNo, InputError) as error:
        no = error
    if no is not None:
        text = " ".join(str(no).split())
        parts.diagnostics.append(
            Diagnostic(severity="warning", message=f"`isthmus up` will refuse this: {text}")
        )


def _rendered(stack: Stack) -> dict[str, Rendered]:
    """The whole estate's; a program that raises what it should not is told of as its error."""
    from isthmus.engine import render

    try:
        return render.render_estate(stack)
    except IsthmusError:
        raise
    except Exception as error:
        raise InputError(
            f"the program raised {type(error).__name__}: {error}",
            where=f"stack {stack.name}",
            todo="Mend the program; --debug shows where",
        ) from error


def _files(stack: Stack) -> tuple[Requirements, Plan]:
    from isthmus.contracts import plan as plans
    from isthmus.contracts import requirements as wanted

    folder = stack.project.stacks_dir
    return (
        wanted.load(folder / f"{stack.family}.requirements.yaml"),
        plans.load(folder / f"{stack.family}.plan.yaml"),
    )


def _of_environment() -> list[str]:
    return [value for name in _SECRETS if len(value := os.environ.get(name, "")) >= _RANDOM]


def _json(value: Any) -> str:
    import json

    return json.dumps(value)


class _Quiet:
    """A watcher that is told how far it is, and of nothing that was done: nothing is."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def changed(self, run: Run, line: str | None) -> None:
        self._watcher.changed(run, None)


__all__ = ["EnvironmentFault", "Previewed", "after", "before", "failed", "preview", "refused"]
