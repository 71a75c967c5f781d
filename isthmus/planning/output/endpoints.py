"""Builds the plan's endpoints from the solution: names, engine settings, and predictions at the peak."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.contracts.plan.document import (
    PlannedAdapter,
    PlannedEndpoint,
    PlannedTokenPrice,
    Predicted,
    Sourced,
)
from isthmus.contracts.requirements.document import AwsSite
from isthmus.contracts.vocabulary import SURVIVES
from isthmus.planning.options.option import Column, OnApi, Options
from isthmus.planning.sizing import demand, load, rounding, speed
from isthmus.planning.sizing.demand import Demand
from isthmus.planning.sizing.fit import MAX_NUM_SEQS, UTILIZATION, Fit, max_running_requests
from isthmus.planning.sizing.load import Lengths
from isthmus.planning.sizing.rounding import three_digits
from isthmus.planning.solver import shared_load
from isthmus.planning.solver.node_placement import PlacedReplicas
from isthmus.planning.solver.problem import Solution
from isthmus.planning.solver.shared_load import Sharers

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.catalogues.bedrock import Price

ENGINE = "0.33.0"
"""Version of vLLM that the model servers support (isthmus/contracts/reference/vllm_flags.json)."""
LONGEST_NAME = 40


@dataclass(frozen=True)
class SizedEndpoint:
    """An endpoint with the workloads that it serves and their load."""

    endpoint: PlannedEndpoint
    primary: Sequence[str]
    overflow: Sequence[str]
    column: Column | None = None
    load: float = 0.0
    """Replicas that the peaks of its workloads need together, without headroom."""


def build_endpoints(
    requirements: Requirements, options: Options, solution: Solution, nodes: Mapping[Column, PlacedReplicas]
) -> list[SizedEndpoint]:
    """Return the endpoints on GPUs in the order of their first workload, then the APIs."""
    endpoints: list[SizedEndpoint] = []
    used_names: set[str] = set()
    apis: dict[tuple[str, str, str | None, str], tuple[list[str], list[str], OnApi]] = {}
    for workload in requirements.workloads:
        choice = solution.choices[workload.name]
        for option, _, _ in choice.parts:
            if isinstance(option, OnApi):
                key = (workload.sensitivity, option.site, option.call.profile, option.model)
                primary, overflow, _ = apis.setdefault(key, ([], [], option))
                (overflow if option is choice.overflow else primary).append(workload.name)
    for sharers in shared_load.group_by_column(solution.choices):
        endpoints.append(
            _gpu_endpoint(requirements, options, solution, nodes[sharers.column], sharers, used_names)
        )
    for (sensitivity, _, _, _), (primary, overflow, option) in apis.items():
        endpoints.append(
            _api_endpoint(requirements, sensitivity, option, primary, overflow, solution, used_names)
        )
    return endpoints


def _unique_name(sensitivity: str, model: str, used_names: set[str]) -> str:
    """Return `CLASS-MODEL`, short enough for Kubernetes, with a number if the name is used already."""
    short_model = model.rpartition("/")[2].lower()
    # Remove the provider, version and date of an API's id, and the suffixes that every chat model has.
    short_model = re.sub(r"^[a-z0-9]+\.|-v\d+:\d+$|-20\d{6}", "", short_model)
    short_model = re.sub(r"-(instruct|chat|it)\b", "", re.sub(r"[^a-z0-9]+", "-", short_model)).strip("-")
    base = f"{sensitivity}-{short_model}"[:LONGEST_NAME].strip("-")
    name, number = base, 2
    while name in used_names:
        tail = f"-{number}"
        name, number = base[: LONGEST_NAME - len(tail)].strip("-") + tail, number + 1
    used_names.add(name)
    return name


def _gpu_endpoint(
    requirements: Requirements,
    options: Options,
    solution: Solution,
    placed: PlacedReplicas,
    sharers: Sharers,
    used_names: set[str],
) -> SizedEndpoint:
    column, names = sharers.column, sharers.names
    fit, count = options.fit(column), solution.replicas[column]
    units = shared_load.shared_replicas(requirements, options, sharers)
    survive = _strictest_survive(requirements, names)
    lengths, rate = _mixed_lengths(shared_load.sharer_demands(requirements, sharers))
    max_running = max_running_requests(fit, lengths)
    site = requirements.site(column.site)
    region = site.region if isinstance(site, AwsSite) else None
    spread = survive in ("node", "domain") and placed.within_domains
    endpoint = PlannedEndpoint.model_validate(
        {
            "id": _unique_name(column.sensitivity, column.model, used_names),
            "class": column.sensitivity,
            "site": column.site,
            "target": column.target,
            "region": region,
            "model": column.model,
            "precision": column.precision,
            "gpu": column.gpu,
            "mig_profile": column.mig,
            "instance_type": column.instance,
            "purchase": column.purchase,
            "tensor_parallel": column.degree,
            "nodes_per_replica": column.nodes,
            "replicas": count,
            # Requirements do not name AWS's availability zones.
            "replicas_by_domain": placed.by_domain(column.site) if spread and region is None else None,
            "gpus": column.degree * column.nodes * count,
            "max_model_len": fit.max_model_len,
            "max_num_seqs": max(1, min(MAX_NUM_SEQS, math.ceil(max_running * 1.1))),
            "gpu_memory_utilization": UTILIZATION,
            "adapters": _planned_adapters(requirements, names, column.model),
            "engine_version": ENGINE,
            "predicted": _predict(
                fit,
                lengths,
                rate,
                max_running,
                count,
                placed.lost(survive),
                units,
                _burstiest_arrivals(requirements, names),
            ),
            "evidence": Sourced(kind=fit.speed.kind, source=fit.speed.source, as_of=fit.speed.as_of),  # type: ignore[arg-type]
        }
    )
    return SizedEndpoint(endpoint, names, [], column, units)


def _planned_adapters(requirements: Requirements, names: Sequence[str], model: str) -> list[PlannedAdapter]:
    """Return the adapters of the model that the named workloads use, by name."""
    adapters = {
        adapter.name: adapter
        for name in names
        if (workload := requirements.workload(name))
        for candidate in workload.model.candidates
        if candidate.id == model
        for adapter in candidate.adapters
    }
    return [
        PlannedAdapter(name=adapter.name, rank=adapter.rank, size_mib=adapter.size_mib)
        for _, adapter in sorted(adapters.items())
    ]


def _strictest_survive(requirements: Requirements, names: Sequence[str]) -> str:
    survive_levels = [workload.survive for name in names if (workload := requirements.workload(name))]
    return max(survive_levels, key=SURVIVES.index)


def _burstiest_arrivals(requirements: Requirements, names: Sequence[str]) -> float:
    return max(workload.traffic.arrival_cv for name in names if (workload := requirements.workload(name)))


def _mixed_lengths(demands: Sequence[Demand]) -> tuple[Lengths, float]:
    """Return the mean lengths of the workloads' requests together, and their rate at the peak."""
    rates = [demand.rate for demand in demands]
    rate = math.fsum(rates)

    def mean(values: Sequence[float]) -> float:
        return math.fsum(weight * value for weight, value in zip(rates, values, strict=True)) / rate

    return (
        Lengths(
            mean([demand.lengths.prompt for demand in demands]),
            mean([demand.lengths.output for demand in demands]),
            max(demand.lengths.prompt_p95 for demand in demands),
            max(demand.lengths.output_p95 for demand in demands),
            mean([demand.lengths.hit for demand in demands]),
        ),
        rate,
    )


def _predict(
    fit: Fit,
    lengths: Lengths,
    rate: float,
    max_running: float,
    count: int,
    lost: int,
    units: float,
    burst: float,
) -> Predicted:
    replica_rate = rate / count
    middle = load.serve_workload(fit.speed.steps, lengths, replica_rate, max_running, burst)
    slow = load.serve_workload(
        fit.speed.at(speed.EIGHTY_PERCENT_DEVIATIONS), lengths, replica_rate, max_running, burst
    )
    fast = load.serve_workload(
        fit.speed.at(-speed.EIGHTY_PERCENT_DEVIATIONS), lengths, replica_rate, max_running, burst
    )
    first_token, token_interval = None, None
    if fast and middle and slow:
        first_token = rounding.first_token_interval(fast, middle, slow)
        token_interval = [three_digits(fast.tpot_p95), three_digits(slow.tpot_p95)]
    return Predicted(
        slo="kept",
        peak_rps=three_digits(rate),
        capacity_rps=three_digits(rate * count / units),
        after_loss_rps=three_digits(rate * (count - lost) / units),
        ttft_p95_ms=three_digits(middle.ttft_p95) if middle else None,
        ttft_interval_ms=[three_digits(time) for time in first_token] if first_token else None,
        tpot_p95_ms=three_digits(middle.tpot_p95) if middle and lengths.output else None,
        tpot_interval_ms=token_interval if lengths.output else None,
        kv_cache_tokens=fit.memory.cache_tokens,
    )


def _token_price(price: Price) -> PlannedTokenPrice:
    return PlannedTokenPrice(prompt=price.input, completion=price.output, cached=price.cached)


def _api_endpoint(
    requirements: Requirements,
    sensitivity: str,
    option: OnApi,
    primary: list[str],
    overflow: list[str],
    solution: Solution,
    used_names: set[str],
) -> SizedEndpoint:
    price = option.call.price
    peak = 0.0
    for name in (*primary, *overflow):
        workload, choice = requirements.workload(name), solution.choices[name]
        if workload is not None:
            peak += demand.of_workload(workload).rate * (1 - choice.part if name in overflow else 1.0)
    endpoint = PlannedEndpoint.model_validate(
        {
            "id": _unique_name(sensitivity, option.model, used_names),
            "class": sensitivity,
            "site": option.site,
            "target": "bedrock",
            "region": option.call.region,
            "inference_profile": option.call.profile,
            "model": option.model,
            "precision": "api",
            "usd_per_million_tokens": None if price.request else _token_price(price),
            "predicted": Predicted(
                slo="kept" if option.verified else "unverified", peak_rps=three_digits(peak)
            ),
            "evidence": Sourced(kind=price.kind, source=price.source, as_of=price.as_of),  # type: ignore[arg-type]
        }
    )
    return SizedEndpoint(endpoint, primary, overflow)
