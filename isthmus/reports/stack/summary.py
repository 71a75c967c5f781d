"""What stands after `up`, in words for someone who has never seen it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from isthmus.contracts.platform.model.platform import Endpoint, Platform

_PLACES = {"onprem-vllm": "on-prem, vLLM", "eks-vllm": "AWS, vLLM on EKS"}


def counts_line(counts: Mapping[str, int], seconds: float) -> str:
    """`137 created, 0 updated, 0 unchanged in 41 s`."""
    words = [
        ("create", "created"),
        ("update", "updated"),
        ("replace", "replaced"),
        ("delete", "deleted"),
        ("retain", "retained"),
    ]
    parts = [f"{counts[kind]} {word}" for kind, word in words if counts.get(kind)]
    if counts.get("same") or not parts:
        parts.append(f"{counts.get('same', 0)} unchanged")
    return f"{', '.join(parts)} in {seconds:.0f} s"


def place(endpoint: Endpoint) -> str:
    """Where an endpoint runs, in a few words."""
    if endpoint.target == "bedrock":
        return f"{endpoint.site}: Amazon Bedrock, {endpoint.region or 'its region'}"
    if endpoint.target == "sagemaker":
        return f"{endpoint.site}: Amazon SageMaker, {endpoint.region or 'its region'}"
    return f"{endpoint.site}: {_PLACES[endpoint.target]}, pool {endpoint.pool}"


def size(endpoint: Endpoint) -> str:
    """How much hardware an endpoint takes."""
    if endpoint.sagemaker is not None:
        kind, scaling = endpoint.sagemaker.instance_type, endpoint.sagemaker.autoscaling
        if scaling is None:
            return f"{endpoint.replicas} × {kind}"
        return f"{scaling.min_instances} to {scaling.max_instances} × {kind}"
    if not endpoint.gpus:
        return "none of ours"
    unit = "replica" if endpoint.replicas == 1 else "replicas"
    if endpoint.mig_profile:
        return f"{endpoint.gpus} of {endpoint.mig_profile}"
    if endpoint.time_sliced:
        return f"{endpoint.gpus} shares of GPUs"
    over = f" over {endpoint.nodes_per_replica} nodes" if endpoint.nodes_per_replica > 1 else ""
    each = endpoint.tensor_parallel * endpoint.nodes_per_replica
    return f"{endpoint.gpus} ({endpoint.replicas} {unit} of {each}{over})"


def pools(platform: Platform) -> list[tuple[str, str, int, int]]:
    """Per pool: name, GPU, GPUs requested, GPUs that it has."""
    from isthmus.contracts.platform.lookups import mig as platform_mig

    found = []
    for pool in platform.pools:
        asked = sum(each.gpus for each in platform_mig.whole(platform, pool)) + sum(
            cut.gpus for cut in pool.mig
        )
        asked += len(pool.time_slicing.nodes) * pool.gpus_per_node if pool.time_slicing else 0
        found.append((pool.name, pool.gpu, asked, pool.nodes * pool.gpus_per_node))
    return found


def summary(platform: Platform, outputs: Mapping[str, Any]) -> list[RenderableType]:
    """Tables and lines: gateways, endpoints, GPUs, audit stores, where data may go."""
    from rich.text import Text

    parts: list[RenderableType] = []
    addresses = {
        (each.get("class"), each.get("site")): each.get("address") for each in _maps(outputs, "gateways")
    }

    gates = _table("Gateways: the only door for each class of data", "class", "site", "address", "serves")
    for gate in platform.gateways:
        gates.add_row(
            gate.class_,
            gate.site,
            str(addresses.get((gate.class_, gate.site)) or gate.host),
            ", ".join(each.name for each in gate.workloads),
        )
    parts.append(gates)

    served = _table("Endpoints: the models behind them", "endpoint", "class", "model", "where", "GPUs")
    for each in platform.endpoints:
        served.add_row(each.id, each.class_, each.model, place(each), size(each))
    parts.append(served)

    used = _table("GPUs", "pool", "GPU", "requested", "there")
    for name, gpu, asked, there in pools(platform):
        used.add_row(name, gpu, str(asked), str(there))
    if platform.pools:
        used.add_row("in all", "", *(str(sum(row[i] for row in pools(platform))) for i in (2, 3)))  # type: ignore[misc]
        parts.append(used)

    stores = _table("Audit: where records are sealed, write-once", "store", "site", "bucket", "kept")
    buckets = {each.get("name"): each.get("bucket") for each in _maps(outputs, "audit")}
    for store in platform.audit:
        stores.add_row(
            store.name,
            store.site,
            str(buckets.get(store.name) or store.bucket or "-"),
            f"{store.retention_days} days",
        )
    parts.append(stores)

    lines = outputs.get("data_paths")
    if isinstance(lines, Sequence) and not isinstance(lines, str) and lines:
        parts.append(Text("Where each workload's data may go", style="bold"))
        parts.extend(Text(f"  {line}") for line in lines)
    return parts


def next_steps(stack: str, *, in_sandbox: bool) -> list[str]:
    """What a newcomer can do now."""
    plan = f"isthmus plan stacks/{stack}.requirements.yaml -o stacks/{stack}.plan.yaml"
    steps = [f"See every resource as a file: isthmus render {stack} -o out/{stack}"]
    if in_sandbox:
        steps += [
            'Look around with kubectl or pulumi: eval "$(isthmus sandbox env)"',
            f"Change what is wanted, plan anew ({plan}) and run the same command again: only that changes",
            f"Take it down: isthmus destroy {stack}; end the sandbox: isthmus sandbox down",
        ]
    else:
        steps += [f"Take it down: isthmus destroy {stack}"]
    return steps


def _table(title: str, *columns: str) -> Any:
    from rich import box
    from rich.table import Table

    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        # Names are for copying, so they stay whole; sentences may wrap.
        made.add_column(column, overflow="fold", no_wrap=index < 2 and len(columns) > 3)
    return made


def _maps(outputs: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = outputs.get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
