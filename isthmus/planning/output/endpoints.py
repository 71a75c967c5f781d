"""The plan's endpoints from what was solved: names, engine settings, and what each will do at its peak."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.contracts.plan.document import PlannedAdapter, PlannedEndpoint, Predicted, Sourced
from isthmus.contracts.requirements.document import AwsSite
from isthmus.contracts.vocabulary import SURVIVES
from isthmus.planning.options.option import Column, OnApi, Options
from isthmus.planning.sizing import demand, load, rounding, speed
from isthmus.planning.sizing.demand import Demand
from isthmus.planning.sizing.fit import MOST_SEQS, UTILIZATION, Fit, at_once
from isthmus.planning.sizing.load import Lengths
from isthmus.planning.sizing.rounding import three
from isthmus.planning.solver import shared_load
from isthmus.planning.solver.node_placement import Placed
from isthmus.planning.solver.program import Solution
from isthmus.planning.solver.shared_load import Sharers

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements

ENGINE = "0.33.0"
"""vLLM's, which the model servers are made for (isthmus/contracts/reference/vllm_flags.json)."""
LONGEST_NAME = 40


@dataclass(frozen=True)
class Made:
    """An endpoint, whose workloads it serves, and what of a replica they take together."""

    endpoint: PlannedEndpoint
    primary: Sequence[str]
    overflow: Sequence[str]
    column: Column | None = None
    load: float = 0.0
    """Replicas that its workloads' peaks take, without headroom."""


def make(
    requirements: Requirements, found: Options, solution: Solution, nodes: Mapping[Column, Placed]
) -> list[Made]:
    """Endpoints on GPUs in the order of their first workload, then APIs."""
    made: list[Made] = []
    taken: set[str] = set()
    apis: dict[tuple[str, str, str | None, str], tuple[list[str], list[str], OnApi]] = {}
    for workload in requirements.workloads:
        choice = solution.choices[workload.name]
        for option, _, _ in choice.parts:
            if isinstance(option, OnApi):
                key = (workload.sensitivity, option.site, option.call.profile, option.model)
                primary, overflow, _ = apis.setdefault(key, ([], [], option))
                (overflow if option is choice.overflow else primary).append(workload.name)
    for sharers in shared_load.by_column(solution.choices):
        made.append(_on_gpus(requirements, found, solution, nodes[sharers.column], sharers, taken))
    for (class_, _, _, _), (primary, overflow, option) in apis.items():
        made.append(_on_api(requirements, class_, option, primary, overflow, solution, taken))
    return made


def _name(class_: str, model: str, taken: set[str]) -> str:
    """`CLASS-MODEL`, as short as a name of Kubernetes must be; a number where it is taken."""
    short = model.rpartition("/")[2].lower()
    # A provider's name, dates and versions of an API's id, and what every chat model is called.
    short = re.sub(r"^[a-z0-9]+\.|-v\d+:\d+$|-20\d{6}", "", short)
    short = re.sub(r"-(instruct|chat|it)\b", "", re.sub(r"[^a-z0-9]+", "-", short)).strip("-")
    base = f"{class_}-{short}"[:LONGEST_NAME].strip("-")
    name, number = base, 2
    while name in taken:
        tail = f"-{number}"
        name, number = base[: LONGEST_NAME - len(tail)].strip("-") + tail, number + 1
    taken.add(name)
    return name


def _on_gpus(
    requirements: Requirements,
    found: Options,
    solution: Solution,
    placed: Placed,
    sharers: Sharers,
    taken: set[str],
) -> Made:
    column, names = sharers.column, sharers.names
    fit, count = found.fit(column), solution.replicas[column]
    units = shared_load.load(requirements, found, sharers)
    survive = _survive(requirements, names)
    adapters = {
        adapter.name: adapter
        for name in names
        if (workload := requirements.workload(name))
        for candidate in workload.model.candidates
        if candidate.id == column.model
        for adapter in candidate.adapters
    }
    lengths, rate = _mixture(shared_load.demands(requirements, sharers))
    most = at_once(fit, lengths)
    site = requirements.site(column.site)
    region = site.region if isinstance(site, AwsSite) else None
    spread = survive in ("node", "domain") and placed.within_domains
    endpoint = PlannedEndpoint.model_validate(
        {
            "id": _name(column.class_, column.model, taken),
            "class": column.class_,
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
            # Zones of AWS have no names that requirements know.
            "replicas_by_domain": placed.by_domain(column.site) if spread and region is None else None,
            "gpus": column.degree * column.nodes * count,
            "max_model_len": fit.max_model_len,
            "max_num_seqs": max(1, min(MOST_SEQS, math.ceil(most * 1.1))),
            "gpu_memory_utilization": UTILIZATION,
            "adapters": [
                PlannedAdapter(name=each.name, rank=each.rank, size_mib=each.size_mib)
                for _, each in sorted(adapters.items())
            ],
            "engine_version": ENGINE,
            "predicted": _predicted(
                fit, lengths, rate, most, count, placed.lost(survive), units, _burst(requirements, names)
            ),
            "evidence": Sourced(kind=fit.speed.kind, source=fit.speed.source, as_of=fit.speed.as_of),  # type: ignore[arg-type]
        }
    )
    return Made(endpoint, names, [], column, units)


def _survive(requirements: Requirements, names: Sequence[str]) -> str:
    asked = [workload.survive for name in names if (workload := requirements.workload(name))]
    return max(asked, key=SURVIVES.index)


def _burst(requirements: Requirements, names: Sequence[str]) -> float:
    return max(workload.traffic.arrival_cv for name in names if (workload := requirements.workload(name)))


def _mixture(wanted: Sequence[Demand]) -> tuple[Lengths, float]:
    """The lengths of what the workloads send together, and their rate at the peak."""
    rates = [each.rate for each in wanted]
    rate = math.fsum(rates)

    def mean(values: Sequence[float]) -> float:
        return math.fsum(weight * value for weight, value in zip(rates, values, strict=True)) / rate

    return (
        Lengths(
            mean([each.lengths.prompt for each in wanted]),
            mean([each.lengths.output for each in wanted]),
            max(each.lengths.prompt_p95 for each in wanted),
            max(each.lengths.output_p95 for each in wanted),
            mean([each.lengths.hit for each in wanted]),
        ),
        rate,
    )


def _predicted(
    fit: Fit, lengths: Lengths, rate: float, most: float, count: int, lost: int, units: float, burst: float
) -> Predicted:
    each = rate / count
    middle = load.serve(fit.speed.steps, lengths, each, most, burst)
    slow = load.serve(fit.speed.at(speed.EIGHTY), lengths, each, most, burst)
    fast = load.serve(fit.speed.at(-speed.EIGHTY), lengths, each, most, burst)
    known = middle is not None and slow is not None and fast is not None
    first_token = rounding.first_token(fast, middle, slow) if fast and middle and slow else None
    return Predicted(
        slo="kept",
        peak_rps=three(rate),
        capacity_rps=three(rate * count / units),
        after_loss_rps=three(rate * (count - lost) / units),
        ttft_p95_ms=three(middle.ttft_p95) if middle else None,
        ttft_interval_ms=[three(time) for time in first_token] if first_token else None,
        tpot_p95_ms=three(middle.tpot_p95) if middle and lengths.output else None,
        tpot_interval_ms=[three(fast.tpot_p95), three(slow.tpot_p95)] if known and lengths.output else None,  # type: ignore[union-attr]
        kv_cache_tokens=fit.memory.cache_tokens,
    )


def _on_api(
    requirements: Requirements,
    class_: str,
    option: OnApi,
    primary: list[str],
    overflow: list[str],
    solution: Solution,
    taken: set[str],
) -> Made:
    price = option.call.price
    peak = 0.0
    for name in (*primary, *overflow):
        workload, choice = requirements.workload(name), solution.choices[name]
        if workload is not None:
            peak += demand.of(workload).rate * (1 - choice.part if name in overflow else 1.0)
    endpoint = PlannedEndpoint.model_validate(
        {
            "id": _name(class_, option.model, taken),
            "class": class_,
            "site": option.site,
            "target": "bedrock",
            "region": option.call.region,
            "inference_profile": option.call.profile,
            "model": option.model,
            "precision": "api",
            "predicted": Predicted(slo="kept" if option.verified else "unverified", peak_rps=three(peak)),
            "evidence": Sourced(kind=price.kind, source=price.source, as_of=price.as_of),  # type: ignore[arg-type]
        }
    )
    return Made(endpoint, primary, overflow)
