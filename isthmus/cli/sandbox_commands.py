"""`isthmus sandbox install | up | status | env | down`: a local engine, cluster and AWS."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.options import ProjectDir, StackName

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from sandbox.local.serving import Door, Platform
    from sandbox.status import LocalStatus, Status
    from sandbox.toolchain import ToolStatus

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A local engine, cluster and AWS for development and tests.",
)

Home = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of the sandbox's state. Default: $ISTHMUS_HOME, otherwise the user's state directory.",
        file_okay=False,
        show_default=False,
    ),
]


def _sources() -> list[str]:
    from sandbox.toolchain.install import SOURCES

    return list(SOURCES)


@app.command()
def install(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="auto: use tools on PATH, download the official releases of the rest, and build from Go modules "
            "what cannot be downloaded; modules: build all; download: do not build what has a release.",
            autocompletion=_sources,
        ),
    ] = "auto",
    tool: Annotated[
        list[str] | None,
        typer.Option(help="Only this tool; may be given several times.", show_default=False),
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
            metavar="REQUIREMENTS", help="Requirements with the sites to simulate.", show_default=False
        ),
    ],
    crds: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of real CustomResourceDefinitions. Default: ../shared/crds beside the checkout if it exists, "
            "otherwise stand-ins with the same names.",
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
    running = api.up(requirements, home=home, crds=crds, progress=lambda text: shown.print(text))
    _make_stack(requirements, home, lambda text: shown.print(text, markup=False))
    console.out().print(_status_text(running), markup=False)


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
        raise InputError(f"unknown format `{format}`", where="--format", fix="Choose text or json")
    current = api.status(home)
    if format == "json":
        console.print_json(current.to_dict())
        return
    console.out().print(_status_text(current), markup=False)
    if tools:
        from sandbox import toolchain

        console.out().print(_tools_table(toolchain.status()))


@app.command()
def env(home: Home = None) -> None:
    """Print what a shell needs for a plain `pulumi up`: eval "$(isthmus sandbox env)"."""
    from sandbox import api

    print(api.shell(home), end="")


@app.command()
def serve(
    stack: StackName,
    project: ProjectDir = None,
    home: Home = None,
    substitutions: Annotated[
        bool, typer.Option("--substitutions", help="List everything that differs from the manifests.")
    ] = False,
    opens: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the first chat in the browser, from a terminal.")
    ] = True,
    metrics: Annotated[
        bool,
        typer.Option(
            "--metrics", help="Run Prometheus and Alertmanager too, with the stack's PodMonitors and rules."
        ),
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End what runs, and leave the sandbox up.")] = False,
) -> None:
    """Run a stack's gateways, translators, sealers, reviews, notifiers and chats on this machine, with a small model.

    The stack must be up in the sandbox (`make up`). What stands in its clusters and on Fargate runs as processes, one
    copy of each Deployment or service, until `--stop` or `isthmus sandbox down`. Then it prints how to send a prompt
    through each class.
    """
    from isthmus.cli import console
    from isthmus.engine.project import project as projects
    from isthmus.engine.project.prerequisites import clusters, run_environment
    from sandbox import api

    shown = console.err()

    def say(text: str) -> None:
        shown.print(text, markup=False)

    if stop:
        api.stop_serving(home, progress=say)
        return
    selected = projects.find_project(project).stack(stack)
    with run_environment(selected, home):
        stated = selected.platform()
        regions = {site.region for site in stated.sites if site.region is not None}
        platform = api.serve(
            stack,
            clusters(stated, selected),
            regions,
            home=home,
            progress=say,
            metrics=metrics,
        )
    print(_platform_text(platform, all_substitutions=substitutions))
    if opens and platform.chats and sys.stdout.isatty():
        typer.launch(platform.chats[0].url)


@app.command()
def down(home: Home = None) -> None:
    """End every process of the sandbox. Pulumi's state is kept."""
    from isthmus.cli import console
    from sandbox import api

    shown = console.err()
    api.down(home, progress=lambda text: shown.print(text))


def _platform_text(platform: Platform, *, all_substitutions: bool) -> str:
    """How to reach each class, and what differs from the manifests."""
    lines = [f"{platform.stack} runs here as {platform.processes} processes, until `isthmus sandbox down`."]
    if platform.chats:
        lines += ["", "Chats, in a browser:"]
        lines += [f"  {chat.data_class} at {chat.site}: {chat.url}" for chat in platform.chats]
    for door in platform.doors:
        lines += ["", *_door_lines(platform, door)]
    pages = [desk for desk in platform.desks if desk.pages]
    if pages:
        lines += ["", "Review desks, in a browser (the certificate is by the authority of this sandbox):"]
        for desk in pages:
            people = ", ".join(f"{name} ({' and '.join(roles)})" for name, roles in desk.people.items())
            lines += [
                f"  {desk.data_class} at {desk.site}: {desk.pages}",
                f"    who signs on there: {people}",
            ]
    if platform.mails:
        lines += ["", f"Whom notifiers tell: the mails are files in {platform.mails}"]
    if platform.alertmanager:
        lines += ["", "Metrics and alerts:"]
        lines += [f"  Prometheus of {site}: {url}" for site, url in platform.prometheus.items()]
        lines += [
            f"  Alertmanager: {platform.alertmanager}",
            f"Alerts that come are lines of {platform.alerts}",
        ]
    if platform.desks:
        lines += ["", "People decide on held answers by API at:"]
        lines += [f"  {desk.data_class} at {desk.site}: {desk.url}" for desk in platform.desks]
    if platform.people:
        lines += ["", *_sign_on_lines(platform)]
    lines += ["", f"A prompt through each class, with its record: isthmus verify {platform.stack}", ""]
    entries = platform.substitutions
    if all_substitutions:
        lines.append(f"{len(entries)} things differ from the manifests:")
        lines += [f"  {entry.pod}: {entry.what}: {entry.was} -> {entry.now}" for entry in entries]
    else:
        lines.append(
            f"{len(entries)} paths, addresses, ports and names differ from the manifests; --substitutions lists them."
        )
    return "\n".join(lines)


def _sign_on_lines(platform: Platform) -> list[str]:
    """Who can sign on, and how a person gets an access token without a browser."""
    lines = ["People sign on with their name as the password:"]
    lines += [f"  {person.name}: {', '.join(person.groups) or 'in no group'}" for person in platform.people]
    person = platform.people[0]
    return [
        *lines,
        "a person's token, in place of the development key:",
        f"  curl -d grant_type=password -d client_id=chat -d username={person.name} -d password={person.password} \\",
        f"    {platform.issuer}/protocol/openid-connect/token",
    ]


def _door_lines(platform: Platform, door: Door) -> list[str]:
    """Address, key, a line of curl and five of Python."""
    workload, question = door.workloads[0], "Please write one short English sentence about Hamburg."
    certificate = f"--cacert {platform.ca} --cert {platform.certificate} --key {platform.certificate_key}"
    http = "http_client=openai.DefaultHttpxClient(verify=tls)"
    request = {"model": workload, "messages": [{"role": "user", "content": question}]}
    path, method = "chat/completions", "chat.completions.create"
    if door.tasks.get(workload) == "embedding":
        request = {"model": workload, "input": question}
        path, method = "embeddings", "embeddings.create"
    arguments = ", ".join(f"{name}={value!r}" for name, value in request.items())
    return [
        f"{door.data_class} at {door.site}: {door.url}/v1",
        f"  workloads {', '.join(door.workloads)}; development key {door.key}",
        f"  curl {certificate} \\",
        f"    -H 'Authorization: Bearer {door.key}' -H 'Content-Type: application/json' \\",
        f"    -d '{json.dumps(request)}' \\",
        f"    {door.url}/v1/{path}",
        "  import openai, ssl",
        f"  tls = ssl.create_default_context(cafile='{platform.ca}')",
        f"  tls.load_cert_chain('{platform.certificate}', '{platform.certificate_key}')",
        f"  client = openai.OpenAI(base_url='{door.url}/v1', api_key='{door.key}', {http})",
        f"  print(client.{method}({arguments}))",
    ]


def _make_stack(requirements: Path, home: Path | None, say: Callable[[str], None]) -> None:
    """Create the requirements' stack in the sandbox's backend, so that a plain `pulumi up -s STACK` finds it.

    Does nothing if the requirements belong to no sandbox stack, or if the engine is not installed.
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


def _status_text(status: Status) -> str:
    """Status of the sandbox as text."""
    lines = [f"Sandbox at {status.home}: {'up' if status.up else 'not up'}"]
    for cluster in status.clusters:
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
    if status.aws:
        lines.append(f"  AWS {'answers' if status.aws.running else 'is down'} at {status.aws.address}")
        lines += [f"    {entry['what']}: {entry['by']} ({entry['note']})" for entry in status.aws.simulated]
    if status.local:
        ill = [process for process in status.local.processes if process.ended or not process.running]
        count = sum(process.running for process in status.local.processes)
        lines.append(
            f"  {status.local.stack} is served by {count} of {len(status.local.processes)} processes"
        )
        lines += [
            f"    {process.name} {'; '.join(process.ended)}"
            f"{', runs again' if process.running else ', does not run'}; log {process.log}"
            for process in ill
        ]
        lines += _watching_lines(status.local)
    missing = [name for name, path in status.toolchain.items() if path is None]
    lines.append(f"  toolchain: {'lacks ' + ', '.join(missing) if missing else 'complete'}")
    return "\n".join(lines)


def _watching_lines(local: LocalStatus) -> list[str]:
    """Where Prometheus and Alertmanager answer, and which alerts fire."""
    if not local.alertmanager:
        return []
    lines = [f"    Prometheus of {site} at {url}" for site, url in local.prometheus.items()]
    lines.append(f"    Alertmanager at {local.alertmanager}")
    names = sorted({f"{labels['alertname']} ({labels.get('class', '')})" for labels in local.firing})
    return [*lines, f"    alerts that fire: {', '.join(names) or 'none'}; all that came: {local.alerts}"]


def _tools_table(entries: list[ToolStatus]) -> Table:
    """Table of all tools with source, version and path."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("tool", "from", "version", "path"):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        table.add_row(entry.name, entry.source, entry.version or "", str(entry.path or ""))
    return table
