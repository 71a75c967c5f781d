"""`isthmus ci`: what a branch changes against another commit, with no engine, credentials, network or secrets.

Each commit's own code renders it. The branch is held to the base commit's rules, silences and classes as well as to
its own, and what either refuses is refused. Whatever goes wrong gives a preview that says so.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reports.preview import Cost, Diagnostic, Op, PoolCapacity, RuleChange
from isthmus.core.errors import EnvironmentFault, InputError, IsthmusError, Refused
from isthmus.engine import seen
from isthmus.engine.preview import assembly as preview_assembly
from isthmus.engine.preview import comparison as preview_comparison
from isthmus.engine.preview import preview
from isthmus.engine.preview.assembly import Parts, Side
from isthmus.engine.preview.changes import counts
from isthmus.engine.preview.preview import Previewed
from isthmus.engine.project import commits
from isthmus.engine.project.project import Project, Stack
from isthmus.engine.pull_request import base_and_head, commit_pair, relaxed_files, relaxed_rules
from isthmus.engine.pull_request.commit_pair import Commit
from isthmus.engine.seen import Order, Seen

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.reports.findings import Finding
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.engine.render.recorder import Resource

    _Files = tuple[Requirements, Plan] | tuple[()] | None
    """A stack's requirements and plan; empty where there is no such stack, None where they cannot be read."""

Say = Callable[[str], None]
_FAULTS: Mapping[int, type[IsthmusError]] = {
    each.exit_code: each for each in (Refused, InputError, EnvironmentFault)
}


@dataclass(frozen=True)
class Change:
    """The two commits, and what is known of them besides their stacks."""

    before: Commit
    after: Commit
    base: str
    commit: str
    today: date
    code: tuple[RuleChange, ...] = ()
    warnings: tuple[str, ...] = ()
    read: dict[tuple[Path, str], Looked] = field(default_factory=dict, compare=False)
    """What was read of a commit, by its folder and the estate or stack whose files it is."""


class _Nothing(Side):
    """Of a stack that a commit does not have: that it cost nothing and took nothing is known."""

    def cost(self) -> Cost:
        return Cost(monthly_usd=0)

    def capacity(self) -> list[PoolCapacity]:
        return []


@dataclass(frozen=True)
class Looked:
    """A stack in one commit, read."""

    side: Side
    resources: Sequence[Resource] = ()
    """Of its whole estate."""
    platform: Platform | None = None

    def own(self, stack: str) -> list[Resource]:
        return [each for each in self.resources if each.urn.startswith(f"urn:pulumi:{stack}::")]


def previews(project: Project, names: Sequence[str], base: str, *, say: Say) -> list[Previewed]:
    """What the checkout changes in each of these stacks, or estates' stacks, against a commit.

    Raises `InputError` for a commit or a stack that there is not; nothing of the base is left behind.
    """
    sha = commits.resolve_commit(project.root, base)
    with _interrupted_by_end(), commits.commit_files(project.root, sha) as files:
        before = Commit(files, f"the base commit {sha[:12]}", project.root)
        after = Commit(project.root, "the branch", project.root)
        try:
            stacks = _chosen(project, Project(files), names)
        except IsthmusError as error:
            raise _of(before, error) if str(files) in str(error) else error from None
        say(f"rendering {', '.join(stacks)} as of {sha[:12]} and as checked out")
        orders = {
            each: Order(do="see", root=str(each.root), stacks=stacks, judging=each is after)
            for each in (before, after)
        }
        found = commit_pair.ask(orders)
        was, will = found[before].seen, found[after].seen
        say("holding what changes to the rules of both")
        by_base, judged = _by_base(before, was, will)
        files_changed = commit_pair.rewritten(before, after)
        change = Change(
            before,
            after,
            sha,
            commits.head(project.root),
            datetime.now(UTC).date(),
            tuple(relaxed_rules.of_code(files_changed, judged=judged)),
            tuple(_warnings(before, project, sha)),
        )
        return [of_stack(change, was[name], will[name], by_base.get(name, [])) for name in stacks]


def _chosen(after: Project, before: Project, names: Sequence[str]) -> list[str]:
    """Every stack that is meant in either commit, in the order of the names."""
    found: dict[str, None] = {}
    for name in names:
        known = [each for each in (after, before) if name in each.stacks() or name in each.estates()]
        for project in known or [after]:
            found |= {each.name: None for each in project.chosen([name])}
    return list(found)


def _by_base(
    before: Commit, was: Mapping[str, Seen], will: Mapping[str, Seen]
) -> tuple[dict[str, list[Finding]], bool]:
    """What the base's rules find in the branch, and whether it was its own code that looked."""
    there = {name: each for name, each in will.items() if each.platform is not None and not was[name].fault}
    order = Order(do="judge", root=str(before.root), of={name: was[name] for name in there}, other=there)
    if not there:
        return {}, before.own
    if before.own:
        with contextlib.suppress(EnvironmentFault):
            return commit_pair.ask({before: order})[before].findings, True
    # It cannot read what the branch is made of: its settings and its word are held to it by the code that runs.
    return commit_pair.ask({before: order}, instead=commit_pair.HERE)[before].findings, False


def _warnings(before: Commit, project: Project, sha: str) -> Iterator[str]:
    if commits.is_behind(project.root, sha):
        yield "the branch lacks the base commit: what others have changed since shows as taken back; merge it in first"
    if not before.own and (before.root / "isthmus").is_dir():
        yield (
            "the Isthmus of the base commit is older than `isthmus ci`: its stacks were rendered by the one that runs,"
            " so what another code makes of them is not seen"
        )


def of_stack(change: Change, was: Seen, will: Seen, by_base: list[Finding]) -> Previewed:
    """The preview of one stack: what each commit's code said of it, and what the base's rules find in the branch."""
    parts = Parts(will.stack, baseline="commit", base=change.base, commit=change.commit)
    parts.diagnostics = [Diagnostic(severity="warning", message=each) for each in change.warnings]
    looked: dict[Commit, Looked] = {}
    faults: dict[Commit, IsthmusError] = {}
    for commit, each in ((change.before, was), (change.after, will)):
        try:
            looked[commit] = _looked(change, commit, each)
        except IsthmusError as error:
            faults[commit] = error
    before, after = looked.get(change.before), looked.get(change.after)
    files = [
        _files(commit, each, looked.get(commit))
        for commit, each in ((change.before, was), (change.after, will))
    ]
    rules = _rules(change, was, will, *files)
    parts.rules = sorted(rules, key=lambda each: (not each.loosens, each.kind, each.what))
    own = base_and_head.findings(by_base, will.findings)
    parts.findings = base_and_head.findings(
        own, base_and_head.of_changes(was.settings, parts.rules, will.stack)
    )
    if before is not None:
        parts.before = before.side
    if after is not None:
        parts.after = after.side
    if before is not None and after is not None:
        _compare(parts, before, after)
    if not faults:
        return Previewed(preview_assembly.preview(parts))
    return _failed(change, parts, faults)


def _looked(change: Change, commit: Commit, told: Seen) -> Looked:
    """What the commit's code said, read by ours; raises what kept it from saying it."""
    if told.fault is not None:
        kind = _FAULTS.get(told.fault.code, InputError)
        raise kind(told.fault.what, where=told.fault.where, fix=told.fault.todo)
    if not told.there:
        return Looked(_Nothing(data_paths=[]))
    stack = _stack(commit, told)
    key = commit.root, stack.family
    if key not in change.read:
        platform, resources = seen.platform_of(told), seen.resources_of(told)
        change.read[key] = Looked(preview.after(stack, platform, resources), resources, platform)
    return change.read[key]


def _stack(commit: Commit, told: Seen) -> Stack:
    return Stack(Project(commit.root), told.stack)


def _compare(parts: Parts, before: Looked, after: Looked) -> None:
    was, will = before.own(parts.stack), after.own(parts.stack)
    parts.changes = preview_comparison.compare(was, will, parts.masker)
    listed = {each.urn for each in (*was, *will) if each.made or "read" in each.options}
    same: list[Op] = ["same"] * preview_comparison.unchanged(was, will, parts.changes)
    parts.summary = counts([*(each.op for each in parts.changes if each.urn in listed), *same])
    if not (before.side.priced and after.side.priced):
        parts.diagnostics.append(Diagnostic(severity="warning", message=preview.NOT_PRICED))
    if before.platform is None or after.platform is None:
        return
    ways = base_and_head.paths(before.platform, before.side, after.platform, after.side, after.resources)
    parts.after = replace(after.side, data_paths=ways)


def _rules(change: Change, was: Seen, will: Seen, before: _Files, after: _Files) -> Iterator[RuleChange]:
    """All that the change does to what judges it, as far as either commit can be read."""
    yield from change.code
    yield from relaxed_rules.of_rules(was.rules, will.rules)
    yield from relaxed_files.of_tables(was.handling, will.handling)
    yield from relaxed_rules.of_settings(was.settings, will.settings, change.today)
    if before is not None and after is not None:
        yield from relaxed_files.of_files(before or None, after or None)


def _files(commit: Commit, told: Seen, looked: Looked | None) -> _Files:
    if not told.there:
        return ()
    if looked is not None and looked.side.requirements is not None and looked.side.plan is not None:
        return looked.side.requirements, looked.side.plan
    try:
        return preview.files(_stack(commit, told))
    except IsthmusError:
        return None


def _failed(change: Change, parts: Parts, faults: Mapping[Commit, IsthmusError]) -> Previewed:
    """The branch's fault is told as a preview tells it, with the way drawn that a refused plan would have taken."""
    told = {each: _of(each, error) for each, error in faults.items()}
    first = told.get(change.after) or told[change.before]
    if change.before in told:
        message = " ".join(str(told[change.before]).split())
        parts.diagnostics.append(Diagnostic(severity="error", message=message))
    if change.after in told:
        made = preview.failed(Stack(Project(change.after.root), parts.stack), first, parts)
    else:
        parts.status = "failed"
        made = preview_assembly.preview(parts)
    return Previewed(made, first)


def _of(commit: Commit, error: IsthmusError) -> IsthmusError:
    """An error of the base commit says that it is, and not where its files were laid out for a moment."""
    if commit.root == commit.checkout:
        return error

    def bare(text: str) -> str:
        return text.replace(f"{commit.root}{os.sep}", "").replace(str(commit.root), "the project")

    return InputError(
        f"{commit.word} cannot be rendered, so nothing can be held to it: {bare(error.what)}",
        where=bare(error.where),
        fix=f"{bare(error.fix)} Name another base, or mend that one first".strip(),
    )


@contextlib.contextmanager
def _interrupted_by_end() -> Iterator[None]:
    """A job that is cancelled is told to end (SIGTERM): what was laid out is taken away then, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: Any) -> None:
        raise KeyboardInterrupt

    was = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, was)
