"""A workload on GPUs: on-prem pools, whole, in slices or over several nodes; AWS's instances, EKS's or SageMaker's.

Tensor parallelism stays within a node. Several nodes make a pipeline, and are tried only where one node is too small.
"""

from __future__ import annotations

from collections.abc import Iterator
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
"""Nodes of a replica, where one is too small."""
CONTEXT_STEP = 1024
SERVICES: dict[Target, tuple[str, str]] = {
    "eks-vllm": ("eks", "ec2"),
    "sagemaker": ("sagemaker", "sagemaker"),
}
"""What a site allows by which name, and whose price list counts."""
HOST_MEMORY = 1.2
"""Times its weights that a node has of its own memory at least: they pass through it. An assumption of ours."""


def find(case: Case) -> None:
    """The options of a candidate that has a score at a precision."""
    if case.base not in models.ids():
        case.reject(f"{case.label}: its weights are not to be had")
        return
    model = models.find(case.base)
    if (why := _licence(model, case.requirements)) and case.holds("licence"):
        case.reject(f"{case.label}: {why}")
        return
    tokens = case.workload.model.context_tokens
    if model.context < tokens and case.holds("context_tokens"):
        case.reject(f"{case.label} takes {model.context:,} tokens, {tokens:,} are asked for")
        return
    _on_prem(case)
    for target in SERVICES:
        _on_aws(case, target)


def _licence(model: models.Model, requirements: Requirements) -> str | None:
    """Why the licence rules it out. Whether the user is domiciled in the EU is judged by where the sites are."""
    codes = {code for code, _ in model.excludes}
    if "non-commercial" in codes:
        return f"its licence ({model.licence}) allows no commercial use"
    if "eu-domiciled-multimodal" in codes and any(
        jurisdictions.within(site.jurisdiction, "eu") for site in requirements.sites
    ):
        return f"its licence ({model.licence}) gives no rights to whoever is domiciled in the EU"
    return None


# -- on-prem


def _on_prem(case: Case) -> None:
    sites = [site for site in case.requirements.sites if isinstance(site, OnPremSite)]
    if sites and (why := case.barred("onprem-vllm")):
        case.reject(f"{case.label}: {why}")
        return
    for site in sites:
        if why := case.outside([(f"site {site.name}", site.jurisdiction)]):
            case.reject(f"{case.label} at {site.name}: {why}")
            continue
        for pool in site.pools:
            price = monthly_costs.node(site, pool, case.requirements.objective.cost_basis)
            if isinstance(price, str):
                case.reject(f"{case.label} on {pool.gpu} at {site.name} has no price: {price}")
                continue
            _in_pool(case, site, pool)


def _in_pool(case: Case, site: OnPremSite, pool: Pool) -> None:
    started = False
    for degree in _degrees(case.base, pool.gpus_per_node):
        started |= _try(case, _column(case, site.name, pool.gpu, degree), pool=pool)
    if not started and "several-nodes" in case.rules.builds:
        for nodes in _stages(case, pool):
            degree = _degrees(case.base, pool.gpus_per_node)[-1]
            if _try(case, _column(case, site.name, pool.gpu, degree, nodes=nodes), pool=pool):
                break
    if pool.mig == "allowed" and "mig" in case.rules.builds:
        for part in gpus.find(pool.gpu).slices:
            if part.instances > 1 and part.usable_mib is not None:
                _try(case, _column(case, site.name, pool.gpu, 1, mig=part.profile), pool=pool)


def _stages(case: Case, pool: Pool) -> Iterator[int]:
    """Nodes of a replica that the pool has: in one failure domain, where one may be lost."""
    together = pool.nodes
    if case.workload.survive == "domain":
        together = pool.nodes // pool.failure_domains
    yield from (nodes for nodes in STAGES if nodes <= together)


def _degrees(id: str, most: int) -> list[int]:
    heads = models.find(id).architecture.heads
    return [each for each in DEGREES if each <= most and heads % each == 0]


# -- on AWS


def _on_aws(case: Case, target: Target) -> None:
    service, of = SERVICES[target]
    sites = [
        site
        for site in case.requirements.sites
        if isinstance(site, AwsSite) and (service in site.allow or not case.rules.holds(site.name, "allow"))
    ]
    if sites and (why := case.barred(target)):
        case.reject(f"{case.label} on {target}: {why}")
        return
    for site in sites:
        if why := case.outside([(site.region, jurisdictions.of_region(site.region))]):
            case.reject(f"{case.label} at {site.name}: {why}")
            continue
        why, moved = case.over_link(site)
        if why:
            case.reject(f"{case.label} at {site.name}: {why}")
            continue
        if target == "eks-vllm" and aws_instances.cluster(site.region, site.prices) is None:
            case.reject(f"{case.label} on EKS at {site.name}: a cluster has no price in {site.region}")
            continue
        bought = _cheapest(case, site, of)
        if not bought:
            case.reject(f"{case.label} on {target}: no instance with GPUs has a price in {site.region}")
        for instance, rate in bought:
            # SageMaker runs one replica on an instance: GPUs that it does not use are paid for nothing.
            for degree in _degrees(case.base, instance.gpus):
                column = _column(
                    case,
                    site.name,
                    instance.gpu,
                    degree,
                    target=target,
                    instance=instance.type if of == "ec2" else f"ml.{instance.type}",
                    purchase=rate.purchase,
                )
                _try(case, column, moved)


def _cheapest(case: Case, site: AwsSite, of: str) -> list[tuple[aws_instances.Instance, aws_instances.Rate]]:
    """Of each number of GPUs of a kind the cheapest instance with memory enough of its own for the weights."""
    weights = weight_bytes(models.find(case.base).architecture, case.precision) / 2**30
    months = case.requirements.commitments.max_term_months
    best: dict[tuple[str, int], tuple[aws_instances.Instance, aws_instances.Rate]] = {}
    for each in aws_instances.offered(site.region):
        rate = aws_instances.rate(each, of, site.region, site.prices, months)
        if rate is None or each.memory_gib < HOST_MEMORY * weights:
            continue
        key = each.gpu, each.gpus
        if key not in best or rate.usd_per_hour < best[key][1].usd_per_hour:
            best[key] = each, rate
    return [best[key] for key in sorted(best)]


# -- a column


def _column(
    case: Case,
    site: str,
    gpu: str,
    degree: int,
    *,
    target: Target = "onprem-vllm",
    mig: str | None = None,
    nodes: int = 1,
    instance: str | None = None,
    purchase: str | None = None,
) -> Column:
    workload = case.workload
    return Column(
        workload.sensitivity,
        site,
        gpu,
        case.id,
        case.precision,
        degree,
        workload.survive,
        target,
        mig,
        nodes,
        instance,
        purchase,
    )


def words(column: Column) -> str:
    """The hardware of a replica: `2 x h100-sxm-80gb`, `a slice 3g.40gb of h100-sxm-80gb`."""
    if column.mig:
        return f"a slice {column.mig} of {column.gpu}"
    over = f"{column.nodes} nodes of " if column.nodes > 1 else ""
    bought = f" of {column.instance}" if column.instance else ""
    return f"{over}{column.degree} x {column.gpu}{bought}"


def _try(case: Case, column: Column, moved: float = 0.0, *, pool: Pool | None = None) -> bool:
    """Whether an engine starts there; where it keeps the workload's goals under some load it is an option.

    `pool`: the column's, on-prem.
    """
    label = f"{case.label} on {words(column)} at {column.site}"
    if pool is not None and (why := _node_lacks(case, column, pool)):
        case.reject(f"{label}: {why}")
        return False
    context, adapters = _shared(case.requirements, case.workload.sensitivity, case.id)
    fit = fits.fit(
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
        # Smaller degrees that do not fit are no news where a larger one does.
        case.reject(f"{label}: {fit}")
        return False
    case.found.fits[column.plain] = fit
    wanted = demand.of(case.workload)
    ttft = wanted.ttft_ms if case.holds("ttft_p95_ms") else None
    tpot = wanted.tpot_ms if case.holds("tpot_p95_ms") else None
    top = fits.carried(fit, wanted, ttft, tpot)
    if top <= 0:
        case.reject(f"{label}: keeps its goals at no load")
        return True
    case.take(OnGpus(case.workload.name, column, case.score, wanted.rate / top, moved))
    return True


def _node_lacks(case: Case, column: Column, pool: Pool) -> str | None:
    """Why no node of the pool has the CPU and the memory for a replica, where the requirements state them."""
    if why := node_share.node_lacks(pool, column.degree, column.mig):
        return why
    if pool.memory_gib_per_node is None:
        return None
    # Weights pass through the memory of each node: those of a replica's own part of it.
    gib = weight_bytes(models.find(case.base).architecture, case.precision) / 2**30 / column.nodes
    if pool.memory_gib_per_node < HOST_MEMORY * gib:
        return f"a node has {pool.memory_gib_per_node} GiB of memory, and {gib:.0f} GiB of weights pass through it"
    return None


def _shared(requirements: Requirements, class_: str, id: str) -> tuple[int, tuple[Adapter, ...]]:
    """The longest context and all adapters of the workloads of a class that might share an endpoint of the model."""
    context, adapters = 0, {}
    for workload in requirements.workloads:
        for candidate in workload.model.candidates:
            if workload.sensitivity == class_ and candidate.id == id:
                context = max(context, workload.model.context_tokens)
                for each in candidate.adapters:
                    adapters[each.name] = Adapter(each.rank, each.size_mib)
    return -(-context // CONTEXT_STEP) * CONTEXT_STEP, tuple(adapters.values())
