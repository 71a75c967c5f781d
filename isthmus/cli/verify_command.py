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
    everything: Annotated[bool, typer.Option("--all", help="Also list what is healthy.")] = False,
) -> None:
    """Check that the GPU pools of a stack are healthy: machines, labels, GPUs of the kubelet, operator and queues.

    Reads only. The expected values come from the stack's files, so pools whose files changed after the last `up` are
    reported too. The exit code is 1 if something is missing or different.
    """  # fmt: skip
    from isthmus.cli import console
    from isthmus.core.errors import Refused
    from isthmus.engine.kubernetes import pool_health
    from isthmus.engine.project import project as projects
    from isthmus.engine.project.prerequisites import clusters, run_environment
    from isthmus.engine.render import rendering

    chosen = projects.find_project(project).stack(stack)
    platform = chosen.platform()
    with rendering.without_garbage_collection():
        pools = rendering.render(chosen).outputs["pools"]
    with run_environment(chosen):
        seen = pool_health.check_pools(pools, clusters(platform, chosen))
    for each in seen:
        if everything or not each.well:
            console.out().print(f"{each.pool}: {each}", markup=False, soft_wrap=True)
    ill = sum(not each.well for each in seen)
    console.err().print(
        f"{len(seen) - ill} of {len(seen)} signs of {len(pools)} pools are there.", markup=False
    )
    if ill:
        raise Refused(
            f"{ill} signs of a healthy pool are missing",
            where=stack,
            fix="What each means stands in docs/components-pools.md; `isthmus up` brings back what the stack makes",
        )
