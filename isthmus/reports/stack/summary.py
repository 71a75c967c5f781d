"""The summary that `isthmus up` prints: gateways, endpoints, GPUs, audit stores, data paths and next steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from isthmus.contracts.platform.model.platform import Endpoint, Platform

_PLACES = {"onprem-vllm": "on-prem, vLLM", "eks-vllm": "AWS, vLLM on EKS"}


def counts_line(counts: Mapping[str, int], seconds: float) -> str:
    """`137 created, 0 updated, 0 unchanged in 41 s`."""
    labels = [
        ("create", "created"),
        ("update", "updated"),
        ("replace", "replaced"),
        ("delete", "deleted"),
        ("retain", "retained"),
    ]
    clauses = [f"{counts[kind]} {label}" for kind, label in labels if counts.get(kind)]
    if counts.get("same") or not clauses:
        clauses.append(f"{counts.get('same', 0)} unchanged")
    return f"{', '.join(clauses)} in {seconds:.0f} s"


def describe_place(endpoint: Endpoint) -> str:
    """Return where an endpoint runs: `fra1: on-prem, vLLM, pool fra1-h100`."""
    if endpoint.target == "bedrock":
        return f"{endpoint.site}: Amazon Bedrock, {endpoint.region or 'its region'}"
    if endpoint.target == "sagemaker":
        return f"{endpoint.site}: Amazon SageMaker, {endpoint.region or 'its region'}"
    return f"{endpoint.site}: {_PLACES[endpoint.target]}, pool {endpoint.pool}"


def describe_size(endpoint: Endpoint) -> str:
    """Return the GPUs or instances of an endpoint: `4 (2 replicas of 2)`."""
    if endpoint.sagemaker is not None:
        kind, scaling = endpoint.sagemaker.instance_type, endpoint.sagemaker.autoscaling
        if scaling is None:
            return f"{endpoint.replicas} × {kind}"
        return f"{scaling.min_instances} to {scaling.max_instances} × {kind}"
    if not endpoint.gpus:
        return "none"
    unit = "replica" if endpoint.replicas == 1 else "replicas"
    if endpoint.mig_profile:
        return f"{endpoint.gpus} of {endpoint.mig_profile}"
    if endpoint.time_sliced:
        return f"{endpoint.gpus} shares of GPUs"
    spread = f" over {endpoint.nodes_per_replica} nodes" if endpoint.nodes_per_replica > 1 else ""
    gpus_per_replica = endpoint.tensor_parallel * endpoint.nodes_per_replica
    return f"{endpoint.gpus} ({endpoint.replicas} {unit} of {gpus_per_replica}{spread})"


def pool_usage(platform: Platform) -> list[tuple[str, str, int, int]]:
    """Return for each pool its name, GPU, number of requested GPUs and number of GPUs."""
    from isthmus.contracts.platform.lookups import mig as platform_mig

    rows = []
    for pool in platform.pools:
        requested = sum(
            slice_group.gpus for slice_group in platform_mig.endpoints_on_whole_gpus(platform, pool)
        ) + sum(cut.gpus for cut in pool.mig)
        requested += len(pool.time_slicing.nodes) * pool.gpus_per_node if pool.time_slicing else 0
        rows.append((pool.name, pool.gpu, requested, pool.nodes * pool.gpus_per_node))
    return rows


def build_summary(platform: Platform, outputs: Mapping[str, Any]) -> list[RenderableType]:
    """Return the tables and lines to print. `outputs`: the outputs of the stack."""
    from rich.text import Text

    renderables: list[RenderableType] = []
    addresses = {
        (gateway.get("class"), gateway.get("site")): gateway.get("address")
        for gateway in _maps(outputs, "gateways")
    }

    gates = _table("Gateways: the only entry for each class of data", "class", "site", "address", "serves")
    for gate in platform.gateways:
        gates.add_row(
            gate.class_,
            gate.site,
            str(addresses.get((gate.class_, gate.site)) or gate.host),
            ", ".join(workload.name for workload in gate.workloads),
        )
    renderables.append(gates)

    served = _table(
        "Endpoints: the models behind the gateways", "endpoint", "class", "model", "where", "GPUs"
    )
    for endpoint in platform.endpoints:
        served.add_row(
            endpoint.id, endpoint.class_, endpoint.model, describe_place(endpoint), describe_size(endpoint)
        )
    renderables.append(served)

    used = _table("GPUs", "pool", "GPU", "requested", "available")
    for name, gpu, requested, available in pool_usage(platform):
        used.add_row(name, gpu, str(requested), str(available))
    if platform.pools:
        used.add_row("total", "", *(str(sum(row[i] for row in pool_usage(platform))) for i in (2, 3)))  # type: ignore[misc]
        renderables.append(used)

    stores = _table("Audit stores: sealed records, write-once", "store", "site", "bucket", "retention")
    buckets = {store.get("name"): store.get("bucket") for store in _maps(outputs, "audit")}
    for store in platform.audit:
        stores.add_row(
            store.name,
            store.site,
            str(buckets.get(store.name) or store.bucket or "-"),
            f"{store.retention_days} days",
        )
    renderables.append(stores)

    lines = outputs.get("data_paths")
    if isinstance(lines, Sequence) and not isinstance(lines, str) and lines:
        renderables.append(Text("Where each workload's data may go", style="bold"))
        renderables.extend(Text(f"  {line}") for line in lines)
    return renderables


def next_steps(stack: str, *, in_sandbox: bool) -> list[str]:
    """Return the commands that a user can run next."""
    plan = f"isthmus plan stacks/{stack}.requirements.yaml -o stacks/{stack}.plan.yaml"
    steps = [f"See every resource as a file: isthmus render {stack} -o out/{stack}"]
    if in_sandbox:
        steps += [
            'Use kubectl and pulumi: eval "$(isthmus sandbox env)"',
            f"Change the requirements, plan again ({plan}) and run the same command again: only changes are applied",
            f"Destroy the stack: isthmus destroy {stack}; stop the sandbox: isthmus sandbox down",
        ]
    else:
        steps += [f"Destroy the stack: isthmus destroy {stack}"]
    return steps


def _table(title: str, *columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        # Names are not wrapped, so that they can be copied.
        table.add_column(column, overflow="fold", no_wrap=index < 2 and len(columns) > 3)
    return table


def _maps(outputs: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = outputs.get(name)
    return [element for element in value if isinstance(element, Mapping)] if isinstance(value, list) else []
