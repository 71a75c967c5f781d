"""`isthmus sandbox install | up | status | env | down`: a local engine, cluster and AWS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from sandbox.status import Status
    from sandbox.toolchain import ToolStatus

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A local engine, cluster and AWS to develop and try on.",
)

Home = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where the sandbox keeps its state; default: $ISTHMUS_HOME, else the user's state directory.",
        file_okay=False,
        show_default=False,
    ),
]


def _sources() -> list[str]:
    return ["auto", "build", "download"]


@app.command()
def install(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="auto: what is on PATH is used, the rest is built from Go modules; build: what is on PATH does not "
            "count; download: official releases, from the internet.",
            autocompletion=_sources,
        ),
    ] = "auto",
    tool: Annotated[
        list[str] | None,
        typer.Option(help="Only this tool or program; may be given again.", show_default=False),
    ] = None,
) -> None:
    """Install the toolchain: Pulumi's engine, the language host, the provider and the cluster's programs."""
    from isthmus.cli import console
    from sandbox import toolchain
    from sandbox.toolchain.progress import for_terminal

    done = toolchain.install(source, tools=tool, progress=for_terminal())
    console.err().print(_tools_table([entry for entry in done if entry.wanted or entry.path]))


@app.command()
def up(
    requirements: Annotated[
        Path,
        typer.Argument(
            metavar="REQUIREMENTS", help="The requirements whose sites to make.", show_default=False
        ),
    ],
    crds: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of real CustomResourceDefinitions; without it, ../shared/crds beside the checkout where it "
            "lies there, else stand-ins of the same names.",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Start a cluster for each on-prem site, and AWS. Creates the requirements' stack in the sandbox's backend."""
    from isthmus.cli import console
    from sandbox import api

    shown = console.err()
    found = api.up(requirements, home=home, crds=crds, progress=lambda text: shown.print(text))
    _make_stack(requirements, home, lambda text: shown.print(text, markup=False))
    console.out().print(_status_text(found), markup=False)


@app.command()
def status(
    home: Home = None,
    tools: Annotated[bool, typer.Option("--tools", help="Each tool's source, version and path too.")] = False,
    format: Annotated[str, typer.Option(metavar="text|json", help="How to print it.")] = "text",
) -> None:
    """Show what runs, and where. Changes nothing."""
    from isthmus.cli import console
    from isthmus.core.errors import InputError
    from sandbox import api

    if format not in ("text", "json"):
        raise InputError(f"there is no format `{format}`", fix="Choose text or json")
    found = api.status(home)
    if format == "json":
        console.print_json(found.to_dict())
        return
    console.out().print(_status_text(found), markup=False)
    if tools:
        from sandbox import toolchain

        console.out().print(_tools_table(toolchain.status()))


@app.command()
def env(home: Home = None) -> None:
    """Print what a shell needs for a plain `pulumi up`: eval "$(isthmus sandbox env)"."""
    from sandbox import api

    print(api.shell(home), end="")


@app.command()
def down(home: Home = None) -> None:
    """End every process of the sandbox. Pulumi's state is kept."""
    from isthmus.cli import console
    from sandbox import api

    shown = console.err()
    api.down(home, progress=lambda text: shown.print(text))


def _make_stack(requirements: Path, home: Path | None, say: Callable[[str], None]) -> None:
    """Make the requirements' stack in the sandbox's backend, so that a plain `pulumi up -s STACK` finds it.

    Nothing is made for requirements that belong to no sandbox stack, or before the engine is installed.
    """
    from isthmus.core.errors import InputError
    from isthmus.engine.automation.stack_engine import Engine
    from isthmus.engine.project import project
    from isthmus.engine.project.prerequisites import is_sandbox, run_environment
    from sandbox import toolchain

    try:
        name = requirements.name.removesuffix(".requirements.yaml")
        stacks = project.find_project().chosen([name])
    except InputError:
        return
    for stack in stacks:
        belongs = requirements.resolve().parent == stack.project.stacks_dir and is_sandbox(stack)
        if not belongs or toolchain.find("pulumi") is None:
            return
        with run_environment(stack, home):
            Engine(stack, say)


def _status_text(found: Status) -> str:
    """A few lines for a person."""
    lines = [f"Sandbox at {found.home}: {'up' if found.up else 'not up'}"]
    for cluster in found.clusters:
        state = "runs" if cluster.running else f"is down ({', '.join(cluster.dead) or 'no answer'})"
        lines.append(f"  cluster {cluster.site} {state} at {cluster.address}, context {cluster.context}")
        for pool in cluster.pools:
            lines.append(f"    pool {pool.name}: {pool.nodes} nodes, {pool.gpus} GPUs ({pool.product})")
        lines.append(
            f"    {cluster.volumes} weight volumes; resource definitions: {len(cluster.crds_real)} real, "
            f"{len(cluster.crds_stand_in)} stand-ins"
        )
        if cluster.crds_stand_in:
            lines.append(f"    stand-ins: {', '.join(cluster.crds_stand_in)}")
    if found.aws:
        lines.append(f"  AWS {'answers' if found.aws.running else 'is down'} at {found.aws.address}")
        lines += [f"    {entry['what']}: {entry['by']} ({entry['note']})" for entry in found.aws.simulated]
    missing = [name for name, path in found.toolchain.items() if path is None]
    lines.append(f"  toolchain: {'lacks ' + ', '.join(missing) if missing else 'complete'}")
    return "\n".join(lines)


def _tools_table(entries: list[ToolStatus]) -> Table:
    """Every program, where it is from, its version and path."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("tool", "from", "version", "path"):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        table.add_row(entry.name, entry.source, entry.version or "", str(entry.path or ""))
    return table
