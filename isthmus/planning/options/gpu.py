"""Finds the options of a workload on GPUs: pools on-prem, and AWS instances under EKS or SageMaker.

On-prem a replica runs on whole GPUs, on a MIG slice or over several nodes. Tensor parallelism stays within a node.
Several nodes form a pipeline and are tried only if one node is too small.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from isthmus.contracts.reference import jurisdictions
from isthmus.contracts.requirements import node_share
from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.planning.catalogues import aws_instances, gpus, models
from isthmus.planning.catalogues.precision import weight_bytes
from isthmus.planning.options import monthly_costs
from isthmus.planning.options.option import Column, OnGpus
from isthmus.planning.sizing import demand
from isthmus.planning.sizing import fit as fits
from isthmus.planning.sizing.memory import Adapter

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.sites import Pool
    from isthmus.contracts.vocabulary import Target
    from isthmus.planning.options.option import Case

DEGREES = (1, 2, 4, 8, 16)
STAGES = (2, 3, 4)
"""Nodes of a replica, if one node is too small."""
CONTEXT_STEP = 1024
SERVICES: dict[Target, tuple[str, str]] = {
    "eks-vllm": ("eks", "ec2"),
    "sagemaker": ("sagemaker", "sagemaker"),
}
"""Target → the name in `sites[].allow`, and the price list that applies."""
HOST_MEMORY = 1.2
"""A node needs at least this multiple of the weights as host memory, because they are loaded through it. An
assumption."""


def add_gpu_options(case: Case) -> None:
    """Add the options of a candidate that has a score at a precision, or the reasons why there are none."""
    if case.base not in models.ids():
        case.reject(f"{case.label}: its weights are not published")
        return
    model = models.find_model(case.base)
    if (reason := _licence_exclusion(model, case.requirements)) and case.holds("licence"):
        case.reject(f"{case.label}: {reason}")
        return
    tokens = case.workload.model.context_tokens
    if model.context < tokens and case.holds("context_tokens"):
        case.reject(
            f"{case.label} has a context of {model.context:,} tokens, and the workload needs {tokens:,}"
        )
        return
    _try_on_prem(case)
    for target in SERVICES:
        _try_aws(case, target)


def _licence_exclusion(model: models.Model, requirements: Requirements) -> str | None:
    """Return why the licence excludes the model. Sites in the EU mean a user domiciled in the EU."""
    codes = {code for code, _ in model.excludes}
    if "non-commercial" in codes:
        return f"its licence ({model.licence}) does not allow commercial use"
    if "eu-domiciled-multimodal" in codes and any(
        jurisdictions.is_within(site.jurisdiction, "eu") for site in requirements.sites
    ):
        return f"its licence ({model.licence}) excludes users domiciled in the EU"
    return None


# -- on-prem


def _try_on_prem(case: Case) -> None:
    sites = [site for site in case.requirements.sites if isinstance(site, OnPremSite)]
    if sites and (reason := case.barred("onprem-vllm")):
        case.reject(f"{case.label}: {reason}")
        return
    for site in sites:
        if reason := case.outside([(f"site {site.name}", site.jurisdiction)]):
            case.reject(f"{case.label} at {site.name}: {reason}")
            continue
        for pool in site.pools:
            price = monthly_costs.node_cost(site, pool, case.requirements.objective.cost_basis)
            if isinstance(price, str):
                case.reject(f"{case.label} on {pool.gpu} at {site.name} cannot be priced: {price}")
                continue
            _try_pool(case, site, pool)


def _try_pool(case: Case, site: OnPremSite, pool: Pool) -> None:
    has_started = False
    for degree in _tensor_parallel_sizes(case.base, pool.gpus_per_node):
        has_started |= _try_column(case, _column(case, site.name, pool.gpu, degree), pool=pool)
    if not has_started and "several-nodes" in case.rules.builds:
        for nodes in _stage_counts(case, pool):
            degree = _tensor_parallel_sizes(case.base, pool.gpus_per_node)[-1]
            if _try_column(case, replace(_column(case, site.name, pool.gpu, degree), nodes=nodes), pool=pool):
                break
    if pool.mig == "allowed" and "mig" in case.rules.builds:
        for profile in gpus.find(pool.gpu).slices:
            if profile.instances > 1 and profile.usable_mib is not None:
                column = replace(_column(case, site.name, pool.gpu, 1), mig=profile.profile)
                _try_column(case, column, pool=pool)


def _stage_counts(case: Case, pool: Pool) -> Iterator[int]:
    """Yield how many nodes a replica may use; within one failure domain if it must survive the loss of one."""
    max_nodes = pool.nodes
    if case.workload.survive == "domain":
        max_nodes = pool.nodes // pool.failure_domains
    yield from (nodes for nodes in STAGES if nodes <= max_nodes)


def _tensor_parallel_sizes(id: str, max_degree: int) -> list[int]:
    heads = models.find_model(id).architecture.heads
    return [degree for degree in DEGREES if degree <= max_degree and heads % degree == 0]


# -- on AWS


def _try_aws(case: Case, target: Target) -> None:
    service, price_list = SERVICES[target]
    sites = [
        site
        for site in case.requirements.sites
        if isinstance(site, AwsSite) and (service in site.allow or not case.rules.holds(site.name, "allow"))
    ]
    if sites and (reason := case.barred(target)):
        case.reject(f"{case.label} on {target}: {reason}")
        return
    for site in sites:
        if reason := case.outside([(site.region, jurisdictions.region_jurisdiction(site.region))]):
            case.reject(f"{case.label} at {site.name}: {reason}")
            continue
        reason, transfer_usd = case.over_link(site)
        if reason:
            case.reject(f"{case.label} at {site.name}: {reason}")
            continue
        if target == "eks-vllm" and aws_instances.cluster_rate(site.region, site.prices) is None:
            case.reject(
                f"{case.label} on EKS at {site.name}: no price of an EKS cluster is known in {site.region}"
            )
            continue
        priced_instances = _cheapest_instances(case, site, price_list)
        if not priced_instances:
            case.reject(
                f"{case.label} on {target}: no price of a GPU instance with enough memory is known in {site.region}"
            )
        for instance, rate in priced_instances:
            # SageMaker runs one replica on an instance, so unused GPUs of it are paid too.
            for degree in _tensor_parallel_sizes(case.base, instance.gpus):
                column = replace(
                    _column(case, site.name, instance.gpu, degree),
                    target=target,
                    instance=instance.type if price_list == "ec2" else f"ml.{instance.type}",
                    purchase=rate.purchase,
                )
                _try_column(case, column, transfer_usd)


def _cheapest_instances(
    case: Case, site: AwsSite, price_list: str
) -> list[tuple[aws_instances.Instance, aws_instances.Rate]]:
    """Return the cheapest instance of each GPU kind and count that has enough host memory for the weights."""
    weights = weight_bytes(models.find_model(case.base).architecture, case.precision) / 2**30
    months = case.requirements.commitments.max_term_months
    best: dict[tuple[str, int], tuple[aws_instances.Instance, aws_instances.Rate]] = {}
    for instance in aws_instances.offered_instances(site.region):
        rate = aws_instances.cheapest_rate(instance, price_list, site.region, site.prices, months)
        if rate is None or instance.memory_gib < HOST_MEMORY * weights:
            continue
        key = instance.gpu, instance.gpus
        if key not in best or rate.usd_per_hour < best[key][1].usd_per_hour:
            best[key] = instance, rate
    return [best[key] for key in sorted(best)]


# -- a column


def _column(case: Case, site: str, gpu: str, degree: int) -> Column:
    """A column of the case at a site, on whole GPUs of one node on-prem."""
    workload = case.workload
    return Column(workload.sensitivity, site, gpu, case.id, case.precision, degree, workload.survive)


def describe_hardware(column: Column) -> str:
    """Return the hardware of a replica: `2 x h100-sxm-80gb`, `a MIG slice 3g.40gb of h100-sxm-80gb`."""
    if column.mig:
        return f"a MIG slice {column.mig} of {column.gpu}"
    nodes = f"{column.nodes} nodes of " if column.nodes > 1 else ""
    instance = f" of {column.instance}" if column.instance else ""
    return f"{nodes}{column.degree} x {column.gpu}{instance}"


def _try_column(case: Case, column: Column, transfer_usd: float = 0.0, *, pool: Pool | None = None) -> bool:
    """Add the column as an option if an engine starts there and meets the workload's goals at some load.

    Returns whether an engine starts. `pool`: the pool of a column on-prem.
    """
    label = f"{case.label} on {describe_hardware(column)} at {column.site}"
    if pool is not None and (reason := _node_shortage(case, column, pool)):
        case.reject(f"{label}: {reason}")
        return False
    context, adapters = _shared_context_and_adapters(case.requirements, case.workload.sensitivity, case.id)
    fit = fits.fit_model(
        case.base,
        column.gpu,
        case.precision,
        column.degree,
        context,
        adapters,
        mig=column.mig,
        stages=column.nodes,
    )
    if isinstance(fit, str):
        case.reject(f"{label}: {fit}")
        return False
    case.options.fits[column.plain] = fit
    workload_demand = demand.of_workload(case.workload)
    max_share = fits.goodput(fit, workload_demand, case.goals(workload_demand))
    if max_share <= 0:
        case.reject(
            f"{label}: misses {' or '.join(case.workload.slo.latencies)} even with one request at a time"
        )
        return True
    case.take(OnGpus(case.workload.name, column, case.score, workload_demand.rate / max_share, transfer_usd))
    return True


def _node_shortage(case: Case, column: Column, pool: Pool) -> str | None:
    """Return why a node of the pool has too few CPUs or too little memory for a replica, if the pool states them."""
    if reason := node_share.node_lacks(pool, column.degree, column.mig):
        return reason
    if pool.memory_gib_per_node is None:
        return None
    # Each node loads its part of the weights through host memory.
    gib = weight_bytes(models.find_model(case.base).architecture, case.precision) / 2**30 / column.nodes
    if pool.memory_gib_per_node < HOST_MEMORY * gib:
        return f"a node has {pool.memory_gib_per_node} GiB of memory, too little to load {gib:.0f} GiB of weights"
    return None


def _shared_context_and_adapters(
    requirements: Requirements, sensitivity: str, id: str
) -> tuple[int, tuple[Adapter, ...]]:
    """Return the longest context and all adapters of the workloads that may share an endpoint of the model."""
    context, adapters = 0, {}
    for workload in requirements.workloads:
        for candidate in workload.model.candidates:
            if workload.sensitivity == sensitivity and candidate.id == id:
                context = max(context, workload.model.context_tokens)
                for adapter in candidate.adapters:
                    adapters[adapter.name] = Adapter(adapter.rank, adapter.size_mib)
    return -(-context // CONTEXT_STEP) * CONTEXT_STEP, tuple(adapters.values())
