"""`isthmus ci`: shows what a branch changes against a base commit, without engine, credentials, network or secrets.

Each commit is rendered by its own code. The branch must satisfy the base commit's rules, silences and classes as well
as its own; a change is refused if either refuses it. Every error becomes a preview with the status failed.
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
from isthmus.engine.policy import evaluation as policy_evaluation
from isthmus.engine.preview import assembly as preview_assembly
from isthmus.engine.preview import comparison as preview_comparison
from isthmus.engine.preview import preview
from isthmus.engine.preview.assembly import PreviewDraft, Side
from isthmus.engine.preview.changes import counts
from isthmus.engine.preview.preview import Previewed
from isthmus.engine.project import commits
from isthmus.engine.project.project import Project, Stack
from isthmus.engine.pull_request import (
    base_and_head,
    commit_pair,
    relaxed_evaluations,
    relaxed_files,
    relaxed_rules,
    relaxed_settings,
    relaxed_stack_file,
    relaxed_trust,
)
from isthmus.engine.pull_request.commit_pair import Commit
from isthmus.engine.seen import Order, Seen

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.policy_settings import Settings
    from isthmus.contracts.reports.findings import Finding
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.trust import Trust
    from isthmus.engine.render.recorder import Resource

    _Files = tuple[Requirements, Plan] | tuple[()] | None
    """Requirements and plan of a stack; empty if the commit lacks the stack, None if they cannot be read."""

Say = Callable[[str], None]
_ERROR_OF_CODE: Mapping[int, type[IsthmusError]] = {
    error_type.exit_code: error_type for error_type in (Refused, InputError, EnvironmentFault)
}


@dataclass(frozen=True)
class Change:
    """The two commits, and facts about the change as a whole."""

    before: Commit
    after: Commit
    base: str
    commit: str
    today: date
    code: tuple[RuleChange, ...] = ()
    warnings: tuple[str, ...] = ()
    read: dict[tuple[Path, str], StackInCommit] = field(default_factory=dict, compare=False)
    """Cache: commit folder and platform name → the stack as read from the commit."""
    program: dict[str, list[RuleChange]] = field(default_factory=dict, compare=False)
    """Cache: the base's trust → changes of the program, which are the same for every stack."""


class _AbsentStack(Side):
    """A stack that a commit does not have: its cost and capacity are known to be zero."""

    def cost(self) -> Cost:
        return Cost(monthly_usd=0)

    def capacity(self) -> list[PoolCapacity]:
        return []


@dataclass(frozen=True)
class StackInCommit:
    """A stack as read from one commit."""

    side: Side
    resources: Sequence[Resource] = ()
    """Resources of its whole estate."""
    platform: Platform | None = None

    def own(self, stack: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.urn.startswith(f"urn:pulumi:{stack}::")]


def previews(project: Project, names: Sequence[str], base: str, *, say: Say) -> list[Previewed]:
    """Compare the checkout with a base commit, for each of these stacks or estates.

    Raises `InputError` for an unknown commit or stack. The files of the base commit are deleted afterwards.
    """
    sha = commits.resolve_commit(project.root, base)
    with _interrupt_on_sigterm(), commits.commit_files(project.root, sha) as files:
        base_commit = Commit(files, f"the base commit {sha[:12]}", project.root)
        head_commit = Commit(project.root, "the branch", project.root)
        try:
            stacks = _stack_names(project, Project(files), names)
        except IsthmusError as error:
            raise _base_error(base_commit, error) if str(files) in str(error) else error from None
        say(f"rendering {', '.join(stacks)} as of {sha[:12]} and as checked out")
        orders = {
            commit: Order(do="see", root=str(commit.root), stacks=stacks, judging=commit is head_commit)
            for commit in (base_commit, head_commit)
        }
        answers = commit_pair.ask_commits(orders)
        base_stacks, head_stacks = answers[base_commit].seen, answers[head_commit].seen
        say("checking the changes by the rules of both commits")
        by_base, judged = _base_findings(base_commit, base_stacks, head_stacks)
        files_changed = commit_pair.changed_judging_files(base_commit, head_commit)
        change = Change(
            base_commit,
            head_commit,
            sha,
            commits.head(project.root),
            datetime.now(UTC).date(),
            tuple(relaxed_rules.code_changes(files_changed, judged=judged)),
            tuple(_warnings(base_commit, project, sha)),
        )
        return [
            preview_stack(change, base_stacks[name], head_stacks[name], by_base.get(name, []))
            for name in stacks
        ]


def _stack_names(head_project: Project, base_project: Project, names: Sequence[str]) -> list[str]:
    """Names of the selected stacks in either commit, in the order given."""
    stacks: dict[str, None] = {}
    for name in names:
        projects = [
            project
            for project in (head_project, base_project)
            if name in project.stacks() or name in project.estates()
        ]
        for project in projects or [head_project]:
            stacks |= {stack.name: None for stack in project.chosen([name])}
    return list(stacks)


def _base_findings(
    base_commit: Commit, base_stacks: Mapping[str, Seen], head_stacks: Mapping[str, Seen]
) -> tuple[dict[str, list[Finding]], bool]:
    """Findings of the base's rules in the branch, and whether the base's own code evaluated them."""
    comparable = {
        name: head_stack
        for name, head_stack in head_stacks.items()
        if head_stack.platform is not None and not base_stacks[name].fault
    }
    order = Order(
        do="judge",
        root=str(base_commit.root),
        of={name: base_stacks[name] for name in comparable},
        other=comparable,
    )
    if not comparable:
        return {}, base_commit.own
    if base_commit.own:
        with contextlib.suppress(EnvironmentFault):
            return commit_pair.ask_commits({base_commit: order})[base_commit].findings, True
    # The base's code cannot read the branch's resources: the running code applies the base's settings and classes.
    return commit_pair.ask_commits({base_commit: order}, instead=commit_pair.RUNNING_CHECKOUT)[
        base_commit
    ].findings, False


def _warnings(base_commit: Commit, project: Project, sha: str) -> Iterator[str]:
    if commits.is_behind(project.root, sha):
        yield "the branch does not contain the base commit, so newer changes of others look reverted; merge it first"
    if not base_commit.own and (base_commit.root / "isthmus").is_dir():
        yield (
            "the Isthmus of the base commit is older than `isthmus ci`, so the running version rendered its stacks;"
            " effects of changed Isthmus code are not shown"
        )


def preview_stack(change: Change, base_stack: Seen, head_stack: Seen, by_base: list[Finding]) -> Previewed:
    """The preview of one stack, from its description in both commits and the base's findings."""
    draft = PreviewDraft(head_stack.stack, baseline="commit", base=change.base, commit=change.commit)
    draft.diagnostics = [Diagnostic(severity="warning", message=warning) for warning in change.warnings]
    # Those of the base count, too: it judges the branch.
    draft.exceptions = list(
        {str(entry): entry for entry in (*head_stack.exceptions, *base_stack.exceptions)}.values()
    )
    stacks_by_commit: dict[Commit, StackInCommit] = {}
    faults: dict[Commit, IsthmusError] = {}
    for commit, description in ((change.before, base_stack), (change.after, head_stack)):
        try:
            stacks_by_commit[commit] = _read_stack(change, commit, description)
        except IsthmusError as error:
            faults[commit] = error
    base, head = stacks_by_commit.get(change.before), stacks_by_commit.get(change.after)
    files = [
        _files(commit, description, stacks_by_commit.get(commit))
        for commit, description in ((change.before, base_stack), (change.after, head_stack))
    ]
    rules = [
        *_rule_changes(change, base_stack, head_stack, *files),
        *relaxed_trust.stated_changes(
            base and base.platform, head and head.platform, base_stack.trust, change.today
        ),
        *relaxed_trust.protection_changes(
            base and base.platform, head and head.platform, base_stack.trust, change.today
        ),
        *relaxed_settings.setting_changes(
            base and base.platform, head and head.platform, base_stack.trust, change.today
        ),
        *relaxed_evaluations.evaluation_changes(
            change.before.root, change.after.root, _workloads(base) | _workloads(head)
        ),
    ]
    draft.rules = sorted(
        rules, key=lambda rule_change: (not rule_change.loosens, rule_change.kind, rule_change.what)
    )
    if head is not None and head.platform is not None:
        # The branch's results, by whom the base commit trusts.
        trusting = head_stack.policy_settings.model_copy(update={"trust": base_stack.trust})
        draft.candidates = policy_evaluation.candidates(head.platform, trusting)
    combined = base_and_head.merge_findings(by_base, head_stack.findings)
    draft.findings = base_and_head.merge_findings(
        combined, base_and_head.judge_rule_changes(base_stack.policy_settings, draft.rules, head_stack.stack)
    )
    if base is not None:
        draft.before = base.side
    if head is not None:
        draft.after = head.side
    if base is not None and head is not None:
        _compare(draft, base, head, base_stack.policy_settings)
    if not faults:
        return Previewed(preview_assembly.preview(draft))
    return _failed_preview(change, draft, faults)


def _workloads(stack: StackInCommit | None) -> set[str]:
    """Names of the workloads of a stack."""
    if stack is None or stack.platform is None:
        return set()
    return {workload.name for gateway in stack.platform.gateways for workload in gateway.workloads}


def _read_stack(change: Change, commit: Commit, description: Seen) -> StackInCommit:
    """Read a description into a stack. Raises the error that the commit's code reported."""
    if description.fault is not None:
        kind = _ERROR_OF_CODE.get(description.fault.code, InputError)
        raise kind(description.fault.what, where=description.fault.where, fix=description.fault.todo)
    if not description.there:
        return StackInCommit(_AbsentStack(data_paths=[]))
    stack = _stack(commit, description)
    key = commit.root, stack.family
    if key not in change.read:
        platform, resources = seen.platform_of(description), seen.resources_of(description)
        change.read[key] = StackInCommit(
            preview.side_of_files(stack, platform, resources, description.policy_settings),
            resources,
            platform,
        )
    return change.read[key]


def _stack(commit: Commit, description: Seen) -> Stack:
    return Stack(Project(commit.root), description.stack)


def _compare(draft: PreviewDraft, base: StackInCommit, head: StackInCommit, base_settings: Settings) -> None:
    base_resources, head_resources = base.own(draft.stack), head.own(draft.stack)
    draft.changes = preview_comparison.compare(base_resources, head_resources, draft.masker)
    counted = {
        resource.urn
        for resource in (*base_resources, *head_resources)
        if resource.made or "read" in resource.options
    }
    unchanged: list[Op] = ["same"] * preview_comparison.count_unchanged(
        base_resources, head_resources, draft.changes
    )
    draft.summary = counts([*(change.op for change in draft.changes if change.urn in counted), *unchanged])
    if not (base.side.priced and head.side.priced):
        draft.diagnostics.append(Diagnostic(severity="warning", message=preview.NOT_PRICED))
    if base.platform is None or head.platform is None:
        return
    data_paths = base_and_head.worst_paths(
        base.platform, base.side, head.platform, head.side, head.resources, base_settings
    )
    draft.after = replace(head.side, data_paths=data_paths)


def _rule_changes(
    change: Change, base_stack: Seen, head_stack: Seen, base_files: _Files, head_files: _Files
) -> Iterator[RuleChange]:
    """Changes of rules, handling, settings, classes and placements, as far as both commits can be read."""
    yield from change.code
    yield from _program_changes(change, base_stack.trust)
    yield from relaxed_stack_file.stack_file_changes(
        _stack(change.before, base_stack), _stack(change.after, head_stack), base_stack.trust, change.today
    )
    yield from relaxed_rules.rule_changes(base_stack.rules, head_stack.rules)
    yield from relaxed_files.handling_changes(base_stack.handling, head_stack.handling)
    yield from relaxed_rules.settings_changes(base_stack.settings, head_stack.settings, change.today)
    yield from relaxed_trust.trust_changes(base_stack.trust, head_stack.trust)
    if base_files is not None and head_files is not None:
        yield from relaxed_files.file_changes(base_files or None, head_files or None)


def _program_changes(change: Change, trust: Trust) -> list[RuleChange]:
    key = trust.model_dump_json()
    if key not in change.program:
        roots = change.before.root, change.after.root
        change.program[key] = list(relaxed_rules.program_changes(*roots, trust, change.today))
    return change.program[key]


def _files(commit: Commit, description: Seen, stack: StackInCommit | None) -> _Files:
    if not description.there:
        return ()
    if stack is not None and stack.side.requirements is not None and stack.side.plan is not None:
        return stack.side.requirements, stack.side.plan
    try:
        return preview.read_plan_files(_stack(commit, description))
    except IsthmusError:
        return None


def _failed_preview(change: Change, draft: PreviewDraft, faults: Mapping[Commit, IsthmusError]) -> Previewed:
    """The failed preview. For a refused plan of the branch, it includes the forbidden data paths."""
    errors = {commit: _base_error(commit, error) for commit, error in faults.items()}
    shown_error = errors.get(change.after) or errors[change.before]
    if change.before in errors:
        message = " ".join(str(errors[change.before]).split())
        draft.diagnostics.append(Diagnostic(severity="error", message=message))
    if change.after in errors:
        failed_preview = preview.failed_preview(
            Stack(Project(change.after.root), draft.stack), shown_error, draft
        )
    else:
        draft.status = "failed"
        failed_preview = preview_assembly.preview(draft)
    return Previewed(failed_preview, shown_error)


def _base_error(commit: Commit, error: IsthmusError) -> IsthmusError:
    """Reword an error of the base commit: name the commit, and remove the path of its temporary folder."""
    if commit.root == commit.checkout:
        return error

    def without_folder(text: str) -> str:
        return text.replace(f"{commit.root}{os.sep}", "").replace(str(commit.root), "the project")

    return InputError(
        f"{commit.word} cannot be rendered, so the branch cannot be compared with it: {without_folder(error.what)}",
        where=without_folder(error.where),
        fix=f"{without_folder(error.fix)} Give another --base, or repair that commit first".strip(),
    )


@contextlib.contextmanager
def _interrupt_on_sigterm() -> Iterator[None]:
    """Treat SIGTERM, which a cancelled CI job gets, like Ctrl-C, so that temporary files are deleted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    previous_handler = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
