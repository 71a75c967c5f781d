"""`isthmus verify STACK`: checks the health of the GPU pools."""

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

    selected = projects.find_project(project).stack(stack)
    platform = selected.platform()
    with rendering.without_garbage_collection():
        pools = rendering.render(selected).outputs["pools"]
    with run_environment(selected):
        results = pool_health.check_pools(pools, clusters(platform, selected))
    for result in results:
        if everything or not result.well:
            console.out().print(f"{result.pool}: {result}", markup=False, soft_wrap=True)
    unhealthy = sum(not result.well for result in results)
    console.err().print(
        f"{len(results) - unhealthy} of {len(results)} signs of {len(pools)} pools are healthy.", markup=False
    )
    if unhealthy:
        raise Refused(
            f"{unhealthy} signs of healthy pools are missing or wrong",
            where=stack,
            fix="Look up each sign in docs/components-pools.md; `isthmus up` repairs what the stack manages",
        )
