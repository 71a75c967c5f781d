"""`isthmus render STACK`: writes every resource of a stack as a file, and checks the policies."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.options import ProjectDir, StackName


class Form(StrEnum):
    """GitOps tool that applies the manifests."""

    argocd = "argocd"
    flux = "flux"


app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def render(
    stack: StackName,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Output folder. Default: out/STACK of the project.",
            show_default=False,
        ),
    ] = None,
    summary: Annotated[bool, typer.Option("--summary", help="Also print a summary of the platform.")] = False,
    project: ProjectDir = None,
    for_: Annotated[
        Form | None,
        typer.Option(
            "--for",
            help="Arrange the manifests for Argo CD or Flux, in order; those that they cannot apply go to other"
            " folders.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str, typer.Option("--source", metavar="NAME", help="With --for flux: the GitRepository's name.")
    ] = "isthmus",
) -> None:
    """Write every resource of a stack as a file, without engine, cluster or cloud.

    Manifests under kubernetes/, AWS inputs under aws/, and graph.json, outputs.json, platform.yaml; pictures of
    the network and the identities as Mermaid (network.mmd, identities.mmd). The rendered
    resources are checked against the policies (docs/policies.md) and findings are listed: the exit code is 1 if a
    critical or high finding stands, or one that cannot be decided.
    A value that only a cloud knows is a placeholder such as ${bank-frankfurt-bucket.id}. The same input gives the same
    bytes. The folder of an earlier render is replaced. An estate gets one folder for each of its stacks; resources of
    other stacks are placeholders there.
    """  # fmt: skip
    from isthmus.engine.render import rendering

    with rendering.without_garbage_collection():
        _write(stack, output, summary, project, for_, source)


def _write(
    name: str, output: Path | None, summary: bool, project: Path | None, form: Form | None, source: str
) -> None:
    from isthmus.cli import console, judged
    from isthmus.engine.policy import evaluation as judging
    from isthmus.engine.policy import exceptions as policy_exceptions
    from isthmus.engine.project import project as projects
    from isthmus.engine.render import files as render_files
    from isthmus.engine.render import gitops, rendering
    from isthmus.graph.resources.resources import Graph
    from isthmus.reports.stack import network_diagram

    root = projects.find_project(project)
    selected = root.chosen([name])
    platform = selected[0].platform()
    settings = judging.settings(selected)
    exceptions = policy_exceptions.exceptions(selected[0])
    # Boundaries span the whole platform, so a layer is checked together with its whole estate.
    rendered = rendering.render_estate(selected[0])
    platform_data = platform.model_dump(mode="json", by_alias=True, exclude_none=True)
    target = output if output is not None else root.root / "out" / name
    for stack in selected:
        stack_rendering = rendered[stack.name]
        text_by_path = render_files.build_files(stack_rendering, platform_data, exceptions)
        notes: list[str] = []
        if form is not None:
            gitops_files, notes = gitops.build_gitops_files(
                stack_rendering.resources, stack.name, form.value, source
            )
            text_by_path = {
                path: text for path, text in text_by_path.items() if not path.startswith("kubernetes/")
            } | gitops_files
        graph = Graph(stack_rendering.resources)
        text_by_path |= {
            "network.mmd": network_diagram.draw_network(graph, platform),
            "identities.mmd": network_diagram.draw_identities(graph),
        }
        folder = target if len(selected) == 1 else target / stack.name
        render_files.write_folder(text_by_path, folder, stack.name)
        if summary:
            from isthmus.reports.stack import summary as report

            out = console.out()
            for part in report.build_summary(platform, stack_rendering.outputs):
                out.print(part)
        custom = sum(1 for resource in stack_rendering.resources if resource.made)
        console.err().print(f"{custom} resources, {len(text_by_path)} files in {folder}", markup=False)
        for line in notes:
            console.err().print(line, markup=False)
    # Components and providers are judged too: a plugin fills them with objects that no rendering shows.
    resources = [resource for part in rendered.values() for resource in part.resources]
    findings = judged.judge_stacks(selected, settings, resources, platform)
    for entry in exceptions:
        console.err().print(f"exception  {entry}", markup=False)
    judged.print_findings([finding for finding, _ in findings])
    judged.refuse_if_violated(findings, str(target), name)
