"""`isthmus trust`: what a stack needs in `trust.yaml`, and which clusters and accounts its sites are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.options import ProjectDir, StackName, StackNames

if TYPE_CHECKING:
    from isthmus.contracts.reports.findings import Finding
    from isthmus.contracts.trust import Kind
    from isthmus.engine.project.project import Project, Stack
    from policies.evaluation.wanted_entries import Proposal, Wanted

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Propose entries of trust.yaml, and pin clusters and accounts.",
)


@app.command()
def propose(
    stacks: StackNames,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="COMMIT",
            help="Also print what `isthmus ci` refuses of the change since this commit.",
            show_default=False,
        ),
    ] = None,
    project: ProjectDir = None,
) -> None:
    """Print the entries that trust.yaml lacks for these stacks as they are rendered now.

    Nothing is written. Fill in `reason` and `owner` of each entry, and commit the file in a change of its own.
    """
    from isthmus.cli import console
    from isthmus.contracts.trust import FILE
    from isthmus.engine.project import project as projects

    chosen = projects.find_project(project)
    proposal = _proposal(chosen.chosen(stacks))
    entries = dict(proposal.entries)
    if base is not None:
        entries = _without_covered(entries | _entries_of_change(chosen, stacks, base))
    if not entries:
        console.err().print(f"These stacks need no further entry in {FILE}.", markup=False)
    else:
        typer.echo(_entries_yaml(entries), nl=False)
        count = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
        console.err().print(
            f"{count} for {FILE}, beside Pulumi.yaml. Write why each is trusted and who answers for it.",
            markup=False,
        )
    for (kind, value), members in proposal.together.items():
        texts = ", ".join(text for _, text in members)
        console.err().print(
            f"One entry would do for {texts}: {kind}: {value}. It also trusts all later ones of these types.",
            markup=False,
        )
    if staying := proposal.staying:
        many = "1 finding stays" if len(staying) == 1 else f"{len(staying)} findings stay"
        rules = ", ".join(dict.fromkeys(finding.policy for finding in staying))
        console.err().print(f"{many}, for which no entry is proposed (docs/trust.md): {rules}", markup=False)


@app.command()
def pin(stack: StackName, project: ProjectDir = None) -> None:
    """Print the lines that pin the clusters and AWS accounts of a stack's sites, as they answer now.

    Nothing is written. Put the lines under `isthmus:overrides` of the stack's file. `isthmus up` then refuses another
    cluster or account. Exit code 1: a pinned site has another cluster. 3: a cluster or AWS does not answer.
    """
    from isthmus.cli import console
    from isthmus.engine.project import pins, prerequisites
    from isthmus.engine.project import project as projects

    chosen = projects.find_project(project).stack(stack)
    platform = chosen.platform()
    unpinned = platform.model_copy(
        update={"sites": [site.model_copy(update={"cluster_uid": None}) for site in platform.sites]}
    )
    with prerequisites.run_environment(chosen):
        clusters = prerequisites.clusters(chosen.reached(unpinned), chosen)
        found = list(pins.pins(chosen.reached(platform), clusters, sandbox=chosen.sandbox))
    typer.echo(_pins_yaml(found), nl=False)
    console.err().print(
        f"Lines for `isthmus:overrides` in {chosen.config_file.parent.name}/{chosen.config_file.name}.",
        markup=False,
    )


def _proposal(stacks: Iterable[Stack]) -> Proposal:
    """What all of these stacks lack."""
    from datetime import UTC, datetime

    from isthmus.engine.policy import evaluation as policy_evaluation
    from isthmus.engine.render import rendering
    from policies.evaluation import wanted_entries
    from policies.evaluation.evaluation import subject_of

    entries: dict[Wanted, str] = {}
    together: dict[Wanted, Sequence[Wanted]] = {}
    staying: list[Finding] = []
    families: set[str] = set()
    for stack in stacks:
        if stack.family in families:
            continue
        families.add(stack.family)
        members = stack.siblings(stack.estate.members) if stack.estate else [stack]
        with rendering.without_garbage_collection():
            rendered = rendering.render_estate(stack)
        resources = [resource for part in rendered.values() for resource in part.resources]
        settings = policy_evaluation.settings(members)
        subject = subject_of(resources, stack.platform(), settings, datetime.now(UTC).date())
        proposal = wanted_entries.propose(subject, stack.family)
        entries |= proposal.entries
        staying += proposal.staying
        together |= proposal.together
    return wanted_entries.Proposal(entries, staying, together)


def _entries_of_change(project: Project, stacks: Sequence[str], base: str) -> dict[tuple[Kind, str], str]:
    """Kind and value of each entry by which the base would allow what the checkout changes → the change."""
    from isthmus.cli.progress import Progress
    from isthmus.engine.pull_request import pull_request as comparison

    with Progress() as progress:
        previews = comparison.previews(project, list(stacks), base, say=progress.say)
    return {
        change.entry: f"{change.what}: {change.new or 'none'}"
        for preview in previews
        for change in preview.preview.rules
        if change.kind == "trust" and change.loosens and change.entry is not None
    }


def _without_covered(entries: Mapping[tuple[Kind, str], str]) -> dict[tuple[Kind, str], str]:
    """The entries without those that another one covers, such as a registry below another."""
    from isthmus.contracts.trust import covers

    needed = dict(entries)
    for entry in sorted(entries, key=lambda entry: -len(entry[1])):
        if any(other != entry and covers(other, entry) for other in needed):
            del needed[entry]
    return needed


def _entries_yaml(entries: Mapping[tuple[Kind, str], str]) -> str:
    """The entries as `trust.yaml` takes them, with the message of each as a comment."""
    lines, kinds = ["isthmus: v1"], dict.fromkeys(kind for kind, _ in entries)
    for kind in kinds:
        lines.append(f"{kind}:")
        for (entry_kind, value), message in entries.items():
            if entry_kind == kind:
                lines += [f"  # {message}", f"  - value: {_quoted(value)}", '    reason: ""', '    owner: ""']
    return "\n".join([*lines, ""])


def _pins_yaml(pinned: Iterable[tuple[str, Mapping[str, str]]]) -> str:
    lines = ["sites:"]
    for site, fields in pinned:
        lines.append(f"  - name: {site}")
        lines += [f"    {key}: {_quoted(value)}" for key, value in fields.items()]
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    import json

    return json.dumps(text)
