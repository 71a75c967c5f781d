"""Compares plans of Isthmus with recommendations of `llm-d-planner`: which is cheaper for the same SLO and prices?

    python -m bench.rival [URGENCY...]

It installs `llm-d-planner` 0.3.3 once, from a lock, in an environment in the cache. It queries it
(`bench/rival_query.py`) for every case that both planners can express: models that both catalogues have, in one
precision; its four traffic shapes; its SLO for each use case at an urgency (`high`, `medium` or `low`; default
`medium`, as in `llm-d-planner`); a few request rates.

Its cheapest configuration that meets the SLO, by its own statement, is compared with an Isthmus plan. Both use the same
kinds of GPUs and its hourly prices. The plan has no headroom and survives no failure, because `llm-d-planner` supports
neither. `bench.simulate` then runs both at the stated rate.

A loss is a case where its recommendation meets the SLO in the simulator, but the Isthmus plan costs more or does not
exist.
"""

from __future__ import annotations

import functools
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.replay import TODAY, read
from bench.simulate import Stream, StreamResult, replay
from isthmus.contracts.requirements.document import Requirements
from isthmus.planning.catalogues import gpus, models
from isthmus.planning.options import candidates
from isthmus.planning.options.option import Rules
from isthmus.planning.sizing import fit as fits
from isthmus.planning.sizing import load, rounding, speed
from isthmus.planning.sizing.demand import HOURS_PER_MONTH
from isthmus.planning.solver import solution
from sandbox.toolchain.packages import Packages

RIVAL = Packages("llm-d-planner", Path(__file__).with_name("llm-d-planner.lock"))
GPUS = {"H100": "h100-sxm-80gb", "A100-80": "a100-sxm-80gb"}
"""Its names of the GPUs that its benchmarks cover, and Isthmus' ids."""
PRECISION_SUFFIXES = {
    "-fp8-dynamic": "fp8",
    "-fp8": "fp8",
    "-quantized.w8a8": "int8",
    "-quantized.w4a16": "int4",
}
REQUESTS, SHORTEST_S = 400, 60.0
GOAL_STEP = 0.95
"""Factor that lowers the goal for the time per token in each step."""
_P95_OF_NORMAL = 1.645


@dataclass(frozen=True)
class Case:
    """One case that both planners can solve."""

    use_case: str
    urgency: str
    repo: str
    model: str
    precision: str
    rate: float
    prompt: float
    prompt_p95: float
    output: float
    output_p95: float
    ttft_ms: float
    tpot_ms: float
    e2e_ms: float

    @property
    def longest(self) -> int:
        return math.ceil((self.prompt_p95 + self.output_p95) * 1.3)


@dataclass(frozen=True)
class Setup:
    """A number of replicas, and the number and kind of GPUs of each."""

    gpu: str
    degree: int
    replicas: int

    def usd(self, prices: Mapping[str, float]) -> float:
        """USD a month, from `prices` an hour of a GPU."""
        return self.degree * self.replicas * prices[self.gpu] * HOURS_PER_MONTH

    def __str__(self) -> str:
        return f"{self.replicas} x {self.degree} x {self.gpu}"


@dataclass(frozen=True)
class Judgement:
    """Both setups for a case, their USD a month, and whether they meet the SLO in the simulator."""

    case: Case
    rival: Setup
    exact: Setup
    """The recommendation without the margin of a fifth that it adds to every rate."""
    isthmus: Setup | None
    rival_usd: float
    exact_usd: float
    isthmus_usd: float
    rival_meets_slo: bool
    exact_meets_slo: bool | None
    """None if Isthmus is not more expensive. That holds for the next field too."""
    rival_meets_slo_at_slow_end: bool | None
    """At the slow end of the interval, for which Isthmus plans."""
    isthmus_meets_slo: bool

    @property
    def is_loss(self) -> bool:
        return self.rival_meets_slo and self.isthmus_usd > self.rival_usd + 0.01

    @property
    def is_loss_to_exact(self) -> bool:
        return bool(self.exact_meets_slo) and self.isthmus_usd > self.exact_usd + 0.01


def catalogue_model_of(repo: str) -> tuple[str, str] | None:
    """The catalogue's model and precision for a repository, or None if the catalogue does not have it."""
    base, precision = repo.lower(), ""
    for mark, quantised_precision in PRECISION_SUFFIXES.items():
        if base.endswith(mark):
            base, precision = base.removesuffix(mark), quantised_precision
            break
    short_name = base.rpartition("/")[2]
    for id in models.ids():
        if id.lower() == base or (precision and id.lower().rpartition("/")[2] == short_name):
            model = models.find_model(id)
            model_precision = precision or ("bf16" if "bf16" in model.precisions else model.precisions[0])
            return (id, model_precision) if model_precision in model.precisions else None
    return None


def cases(rows: Sequence[Mapping[str, Any]]) -> dict[Case, list[tuple[Setup, Setup]]]:
    """The rival's configurations by case: as recommended, and without its margin of a fifth."""
    configurations: dict[Case, list[tuple[Setup, Setup]]] = {}
    for row in rows:
        catalogue_model = catalogue_model_of(row["repo"])
        if catalogue_model is None or row["gpu"] not in GPUS:
            continue
        case = Case(
            row["use_case"],
            row["urgency"],
            row["repo"],
            *catalogue_model,
            row["rate"],
            row["prompt"],
            round(row["prompt"] + _P95_OF_NORMAL * row["prompt_stdev"]),
            row["output"],
            round(row["output"] + _P95_OF_NORMAL * row["output_stdev"]),
            row["ttft_ms"],
            row["itl_ms"],
            row["e2e_ms"],
        )
        replicas_without_margin = max(1, math.ceil(row["rate"] / row["rps"] - 1e-9))
        setups = (
            Setup(GPUS[row["gpu"]], row["degree"], count)
            for count in (row["replicas"], replicas_without_margin)
        )
        configurations.setdefault(case, []).append(tuple(setups))  # type: ignore[arg-type]
    return configurations


def requirements(case: Case, prices: Mapping[str, float], tpot_ms: float) -> Requirements:
    """Requirements with one on-prem site that has many GPUs of each kind at the given prices an hour."""
    pools = [
        {"gpu": gpu, "nodes": 60, "gpus_per_node": 8, "failure_domains": 1, "interconnect": "nvlink"}
        for gpu in prices
    ]
    return read(
        {
            "isthmus": "v1",
            "name": "case",
            "objective": {"cost_basis": "allocated", "near_tie_pct": 0},
            "planning": {"headroom": 0, "stress": 1.5},
            "workloads": [
                {
                    "name": "case",
                    "sensitivity": "internal",
                    "impact": "low",
                    "model": {
                        "candidates": [{"id": case.model, "scores": {case.precision: 0.9}}],
                        "min_score": 0.5,
                        "context_tokens": case.longest,
                    },
                    "traffic": {
                        "peak_rps": case.rate,
                        "mean_rps": case.rate / 2,
                        "prompt_tokens": {"mean": case.prompt, "p95": case.prompt_p95},
                        "output_tokens": {"mean": case.output, "p95": case.output_p95},
                    },
                    "slo": {"ttft_p95_ms": case.ttft_ms, "tpot_p95_ms": tpot_ms},
                    "survive": "none",
                }
            ],
            "sites": [
                {
                    "name": "here",
                    "kind": "on-prem",
                    "jurisdiction": "us",
                    "kube_context": "here",
                    "network": {"cidrs": ["10.40.0.0/16"], "dns": ["10.40.0.53"]},
                    "pools": pools,
                    "cost": {
                        "capex_usd_per_node": {
                            gpu: gpu_usd * HOURS_PER_MONTH * 8 * 12 for gpu, gpu_usd in prices.items()
                        },
                        "life_years": 1,
                        "power_kw_per_node": dict.fromkeys(prices, 0),
                    },
                }
            ],
        }
    )


def plan_setup(case: Case, prices: Mapping[str, float]) -> Setup | None:
    """The setup that Isthmus plans, or None if there is no plan.

    The planner has no goal for whole answers. So this lowers the goal for the time per token until a long answer is
    predicted to be in time, at the slow end of the interval.
    """
    tpot_goal_ms = case.tpot_ms
    while True:
        case_requirements = requirements(case, prices, tpot_goal_ms)
        solved = solution.solve_and_place(
            case_requirements, candidates.find_options(case_requirements, Rules(TODAY))
        )
        if solved is None:
            return None
        [(column, count)] = solved[0].replicas.items()
        setup = Setup(column.gpu, column.degree, count)
        if in_time(case, setup):
            return setup
        tpot_goal_ms *= GOAL_STEP


def in_time(case: Case, setup: Setup) -> bool:
    """Whether an answer with the length of the 95th percentile is predicted to be in time, at the slow end."""
    fit = fits.fit_model(case.model, setup.gpu, case.precision, setup.degree, case.longest, ())
    if isinstance(fit, str):
        return False
    lengths = load.Lengths(case.prompt, case.output, case.prompt_p95, case.output_p95)
    most = fits.max_running_requests(fit, lengths)
    slow = load.serve_workload(
        fit.speed.at(speed.EIGHTY_PERCENT_DEVIATIONS), lengths, case.rate / setup.replicas, most
    )
    return slow is not None and slow.ttft_mean + slow.tpot_mean * case.output_p95 <= case.e2e_ms


def meets_slo(case: Case, setup: Setup) -> bool:
    """Whether a setup meets the SLO in the simulator. False if the model does not fit the GPUs."""
    result = simulate_setup(*_question(case), setup, 0.0)
    return result is not None and within_slo(case, result)


def meets_slo_at_slow_end(case: Case, setup: Setup) -> bool:
    """Whether a setup also meets the SLO at the slow end of the interval, as Isthmus plans must."""
    slow, middle = (
        simulate_setup(*_question(case), setup, deviations)
        for deviations in (speed.EIGHTY_PERCENT_DEVIATIONS, 0.0)
    )
    if slow is None or middle is None or not within_slo(case, slow):
        return False
    # First tokens take longer than the steps alone. Isthmus adds the same interval in its plans.
    return rounding.first_token_interval(middle, middle, middle)[1] <= case.ttft_ms  # type: ignore[arg-type]


def _question(case: Case) -> tuple[str, str, int, float, tuple[float, float, float, float]]:
    lengths = (case.prompt, case.prompt_p95, case.output, case.output_p95)
    return case.model, case.precision, case.longest, case.rate, lengths


@functools.lru_cache(maxsize=4096)
def simulate_setup(
    model: str,
    precision: str,
    longest: int,
    rate: float,
    lengths: tuple[float, float, float, float],
    setup: Setup,
    deviations: float,
) -> StreamResult | None:
    """The simulated figures, or None if the model does not fit. Cached, because use cases share traffic shapes."""
    fit = fits.fit_model(model, setup.gpu, precision, setup.degree, longest, ())
    if isinstance(fit, str):
        return None
    seconds = max(SHORTEST_S, REQUESTS / rate)
    return replay(
        fit.speed.at(deviations),
        [Stream("case", rate, 1, *lengths)],
        replicas=setup.replicas,
        cache_tokens=fit.memory.cache_tokens,
        max_num_seqs=fits.MAX_NUM_SEQS,
        batched_tokens=8192 if gpus.find(setup.gpu).large else 2048,
        seconds=seconds,
        warm_up=seconds / 20,
    )["case"]


def within_slo(case: Case, result: StreamResult) -> bool:
    """Whether first tokens, further tokens and whole answers are all in time."""
    late = result.ttft_p95 > case.ttft_ms or result.tpot_p95 > case.tpot_ms or result.e2e_p95 > case.e2e_ms
    return not late and not result.unfinished


def judge(
    case: Case, configurations: Sequence[tuple[Setup, Setup]], prices: Mapping[str, float]
) -> Judgement:
    """Compare its cheapest setup with Isthmus' one. At equal cost it is the one with more GPUs per replica."""
    rival_setup = min(
        (recommended for recommended, _ in configurations),
        key=lambda setup: (setup.usd(prices), -setup.degree),
    )
    exact_setup = min(
        (exact for _, exact in configurations), key=lambda setup: (setup.usd(prices), -setup.degree)
    )
    isthmus_setup = plan_setup(case, prices)
    isthmus_usd = isthmus_setup.usd(prices) if isthmus_setup else math.inf
    dearer, dearer_bare = (
        isthmus_usd > rival_setup.usd(prices) + 0.01,
        isthmus_usd > exact_setup.usd(prices) + 0.01,
    )
    return Judgement(
        case,
        rival_setup,
        exact_setup,
        isthmus_setup,
        rival_setup.usd(prices),
        exact_setup.usd(prices),
        isthmus_usd,
        meets_slo(case, rival_setup),
        meets_slo(case, exact_setup) if dearer_bare else None,
        meets_slo_at_slow_end(case, rival_setup) if dearer else None,
        isthmus_setup is not None and meets_slo(case, isthmus_setup),
    )


def summary(judgements: Sequence[Judgement]) -> Iterator[str]:
    """The figures, as sentences."""

    def count(condition: Callable[[Judgement], bool | None]) -> int:
        return sum(bool(condition(judgement)) for judgement in judgements)

    planned, losses = (
        count(lambda judgement: judgement.isthmus is not None),
        count(lambda judgement: judgement.is_loss),
    )
    yield f"{len(judgements)} cases; its cheapest keeps the SLO in {count(lambda judgement: judgement.rival_meets_slo)}"
    yield (
        f"ours keeps it in {count(lambda judgement: judgement.isthmus_meets_slo)} of {planned}; "
        f"in {len(judgements) - planned} there is no plan of ours"
    )
    slow_losses = count(lambda judgement: judgement.is_loss and judgement.rival_meets_slo_at_slow_end)
    yield (
        f"losses: {losses}, of which {slow_losses} keep the SLO at the slow end too; against it without its fifth "
        f"{count(lambda judgement: judgement.is_loss_to_exact)}"
    )
    both_keep = [
        judgement for judgement in judgements if judgement.rival_meets_slo and judgement.isthmus_meets_slo
    ]
    if both_keep:
        ratio = statistics.median(judgement.isthmus_usd / judgement.rival_usd for judgement in both_keep)
        total_ratio = sum(judgement.isthmus_usd for judgement in both_keep) / sum(
            judgement.rival_usd for judgement in both_keep
        )
        cheaper = sum(judgement.isthmus_usd < judgement.rival_usd - 0.01 for judgement in both_keep)
        yield (
            f"where both keep it ({len(both_keep)}): ours is cheaper in {cheaper}, and costs {ratio:.2f} times as "
            f"much by the median, {total_ratio:.2f} times in all"
        )


def environment() -> Path:
    """The Python of an environment with `llm-d-planner`. Creates it if needed."""
    RIVAL.install()
    return RIVAL.program("python")


def query_rival(urgencies: Sequence[str]) -> list[dict[str, Any]]:
    """The rows that `rival_query.py` prints: prices, then configurations. That process imports nothing of Isthmus."""
    script = Path(__file__).with_name("rival_query.py")
    process = subprocess.run(
        [str(environment()), str(script), *urgencies],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=script.parent,
    )
    return [json.loads(line) for line in process.stdout.splitlines()]


def main(urgencies: list[str]) -> int:
    price_row, *rows = query_rival(urgencies or ["medium"])
    prices = {isthmus_gpu: price_row["prices"][rival_gpu] for rival_gpu, isthmus_gpu in GPUS.items()}
    judgements = []
    for case, configurations in cases(rows).items():
        judgement = judge(case, configurations, prices)
        judgements.append(judgement)
        description = (
            f"{case.repo}, {case.use_case}, {case.urgency}, {case.rate:g}/s: theirs {judgement.rival}"
        )
        if judgement.is_loss:
            slow = "holds" if judgement.rival_meets_slo_at_slow_end else "does not hold"
            print(
                f"  loss: {description}, ours {judgement.isthmus}; theirs {slow} at the slow end", flush=True
            )
        elif not judgement.rival_meets_slo:
            print(f"  missed: {description}, ours {judgement.isthmus}", flush=True)
    for line in summary(judgements):
        print(line)
    return 0 if not any(judgement.is_loss for judgement in judgements) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
