"""`isthmus verify STACK`."""

from __future__ import annotations

from typing import Annotated

import typer

from isthmus.cli.options import ProjectDir, StackName

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def verify(
    stack: StackName,
    project: ProjectDir = None,
    everything: Annotated[bool, typer.Option("--all", help="Also list what is as it should be.")] = False,
) -> None:
    """Look in each cluster for what the stack's GPU pools show when they are healthy: machines, labels, what kubelet
    gives out, the operator's and the queues' conditions. Reads only.

    What to look for follows from the stack's files, so this also finds a pool that was changed and not brought up yet.
    Ends with 1 where something is missing or different.
    """  # fmt: skip
    from isthmus.cli import console
    from isthmus.contracts.errors import AnswerIsNo
    from isthmus.engine import project as projects
    from isthmus.engine import render, signs
    from isthmus.engine.surroundings import clusters, surroundings

    chosen = projects.find(project).stack(stack)
    platform = chosen.platform()
    with render.uncollected():
        pools = render.render(chosen).outputs["pools"]
    with surroundings(chosen):
        seen = signs.look(pools, clusters(platform, chosen))
    for each in seen:
        if everything or not each.well:
            console.out().print(f"{each.pool}: {each}", markup=False, soft_wrap=True)
    ill = sum(not each.well for each in seen)
    console.err().print(
        f"{len(seen) - ill} of {len(seen)} signs of {len(pools)} pools are there.", markup=False
    )
    if ill:
        raise AnswerIsNo(
            f"{ill} signs of a healthy pool are missing",
            where=stack,
            todo="What each means stands in docs/components-pools.md; `isthmus up` brings back what the stack makes",
        )
