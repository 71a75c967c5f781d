"""`isthmus render STACK`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.options import ProjectDir, StackName

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
) -> None:
    """Write every resource of a stack as files: no engine, no cluster, no cloud.

    Manifests under kubernetes/, AWS inputs under aws/, and graph.json, outputs.json, platform.yaml; pictures of
    the network and the identities as Mermaid (network.mmd, identities.mmd). Ends with 1 where a boundary does
    not hold in what was rendered: restricted work that could reach AWS, a role that could end the trail.
    A value that only a cloud knows is a placeholder such as ${bank-frankfurt-bucket.id}. The same input gives the same
    bytes. A folder that an earlier render made is replaced whole.
    """  # fmt: skip
    from isthmus.engine import render as rendering

    with rendering.uncollected():
        _write(stack, output, summary, project)


def _write(stack: str, output: Path | None, summary: bool, project: Path | None) -> None:
    from isthmus.cli import console
    from isthmus.engine import preflight, rendered_files
    from isthmus.engine import project as projects
    from isthmus.engine import render as rendering
    from isthmus.report import pictures
    from isthmus.report.graph import Graph

    chosen = projects.find(project).stack(stack)
    platform = chosen.platform()
    rendered = rendering.render(chosen)
    made = rendered_files.files(rendered, platform.model_dump(mode="json", by_alias=True, exclude_none=True))
    graph = Graph(rendered.resources)
    made |= {"network.mmd": pictures.network(graph, platform), "identities.mmd": pictures.identities(graph)}
    target = output if output is not None else chosen.project.root / "out" / stack
    rendered_files.write(made, target, stack)
    if summary:
        from isthmus.report import summary as report

        out = console.out()
        for part in report.summary(platform, rendered.outputs):
            out.print(part)
    custom = sum(1 for each in rendered.resources if each.made)
    console.err().print(f"{custom} resources, {len(made)} files in {target}", markup=False)
    preflight.boundaries_hold(graph, platform, str(target))
