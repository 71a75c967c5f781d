"""`isthmus discover`: parts of requirements from what exists: pools of a cluster, traffic of an export."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Propose pools from a cluster's nodes, and traffic from an export of usage.",
)


@app.command()
def pools(
    context: Annotated[
        str | None,
        typer.Option("--context", metavar="NAME", help="Context of the kubeconfig.", show_default=False),
    ] = None,
    nodes: Annotated[
        Path | None,
        typer.Option(
            "--nodes", metavar="FILE", help="What `kubectl get nodes -o json` printed.", show_default=False
        ),
    ] = None,
) -> None:
    """Print `pools` of a site, as its cluster's nodes are labelled. It only reads nodes, and writes nothing.

    Compare the result with what you own: nodes that are not ready are left out, and GPUs that other teams use count in.
    """
    from isthmus.cli import console
    from isthmus.core.errors import InputError, Refused
    from isthmus.discovery import cluster_pools

    if (context is None) == (nodes is None):
        raise InputError(
            "name a cluster, or a file of nodes", where="discover pools", fix="Use --context or --nodes"
        )
    listed = _nodes_of_file(nodes) if nodes is not None else _nodes_of_cluster(context or "")
    proposed = cluster_pools.propose_pools(listed)
    source = f"the cluster of context {context}" if nodes is None else str(nodes)
    for note in proposed.notes:
        console.err().print(f"note: {note}", markup=False)
    if not proposed.pools:
        raise Refused("no pool can be proposed", where=source)
    _print_part(
        f"From the labels of {len(listed)} nodes of {source}, {_today()}. Put it below `sites[]`.",
        {"pools": proposed.pools},
    )


@app.command()
def traffic(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="CSV or JSON lines.", show_default=False)
    ],
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="COLUMN",
            help="The column that tells workloads apart, e.g. a project or a key. Default: the model's.",
            show_default=False,
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="ROLE=COLUMN",
            help="Which column holds time, end, requests, prompt, output, cached, uncached, cache_write or group. "
            "Repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print `traffic` of each workload in an export of usage: rates, lengths, hours of the day, growth.

    It reads exports of OpenAI and Anthropic, LiteLLM's spend logs, Bedrock's invocation logs and other files whose
    columns you name. What the export cannot show is estimated, and marked so. Nothing is written or sent.
    """
    from isthmus.discovery import usage_exports

    for one in usage_exports.measure(files, _roles(column or []), by):
        names = ", ".join(map(str, files))
        lines = [
            f"{one.group}: {one.requests:,} requests in {one.days:g} days, measured from {names}, {_today()}."
        ]
        lines += ["Hours of `profile` are UTC."] if isinstance(one.traffic.get("profile"), list) else []
        lines += [f"Estimated: {what}." for what in one.estimated]
        _print_part("\n".join(lines), {"traffic": one.traffic})


def _roles(texts: Sequence[str]) -> dict[str, str]:
    from isthmus.core.errors import InputError

    roles: dict[str, str] = {}
    for text in texts:
        role, sign, name = text.partition("=")
        if not sign or not role or not name:
            raise InputError(
                f"`{text}` names no column", where="--column", fix="Write it like `prompt=tokens_in`"
            )
        roles[role] = name
    return roles


def _nodes_of_file(path: Path) -> list[Mapping[str, Any]]:
    import json

    from isthmus.core.errors import InputError

    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", where=str(path)) from None
    except ValueError:
        content = None
    items = content.get("items") if isinstance(content, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InputError(
            "this is not a list of Kubernetes nodes",
            where=str(path),
            fix="Write it with `kubectl get nodes -o json`",
        )
    return items


def _nodes_of_cluster(context: str) -> list[Mapping[str, Any]]:
    from isthmus.core.kubernetes_client import KubeClient

    with KubeClient.of_context(context) as client:
        return client.get("/api/v1/nodes")["items"]


def _print_part(comment: str, part: Mapping[str, Any]) -> None:
    from isthmus.core import yaml_files

    print(yaml_files.dumps(part, comment))


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
