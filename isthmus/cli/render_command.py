"""`isthmus render STACK`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.options import ProjectDir, StackName


class Form(StrEnum):
    """Who applies what is written."""

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
            help="Where to write; default: out/STACK of the project.",
            show_default=False,
        ),
    ] = None,
    summary: Annotated[bool, typer.Option("--summary", help="Also print what the platform is.")] = False,
    project: ProjectDir = None,
    for_: Annotated[
        Form | None,
        typer.Option(
            "--for",
            help="Lay the manifests out for Argo CD or Flux: in order, with what they cannot apply apart.",
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
    from isthmus.engine.project import project as projects
    from isthmus.engine.render import files as render_files
    from isthmus.engine.render import gitops, rendering
    from isthmus.graph.resources.resources import Graph, joined
    from isthmus.reports.stack import network_diagram

    found = projects.find_project(project)
    chosen = found.chosen([name])
    platform = chosen[0].platform()
    settings = judging.settings(chosen)
    # A boundary is of the whole platform: a layer is held to it with its whole estate.
    rendered = rendering.render_estate(chosen[0])
    described = platform.model_dump(mode="json", by_alias=True, exclude_none=True)
    target = output if output is not None else found.root / "out" / name
    for stack in chosen:
        one = rendered[stack.name]
        made = render_files.build_files(one, described)
        apart: list[str] = []
        if form is not None:
            laid, apart = gitops.build_gitops_files(one.resources, stack.name, form.value, source)
            made = {path: text for path, text in made.items() if not path.startswith("kubernetes/")} | laid
        graph = Graph(one.resources)
        made |= {
            "network.mmd": network_diagram.draw_network(graph, platform),
            "identities.mmd": network_diagram.draw_identities(graph),
        }
        folder = target if len(chosen) == 1 else target / stack.name
        render_files.write_folder(made, folder, stack.name)
        if summary:
            from isthmus.reports.stack import summary as report

            out = console.out()
            for part in report.build_summary(platform, one.outputs):
                out.print(part)
        custom = sum(1 for each in one.resources if each.made)
        console.err().print(f"{custom} resources, {len(made)} files in {folder}", markup=False)
        for line in apart:
            console.err().print(line, markup=False)
    every = joined(*(one.resources for one in rendered.values()))
    said = judged.findings(chosen, settings, every.resources, platform)
    judged.say(said)
    judged.refuse(said, str(target))
