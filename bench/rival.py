"""Beside `llm-d-planner`: who is dearer for the same SLO, at the same prices, judged by the simulator?

    python -m bench.rival [URGENCY...]

makes a venv with `llm-d-planner` 0.3.3 in the cache folder (outside of the checkout), once, and asks it
(`bench/rival_ask.py`) about all that both can express: its models that are in our catalogue, in their precision; its
four shapes of traffic; the SLO that it states for each use case at an urgency (`high`, `medium` or `low`; `medium`,
its own choice, where none is said); a few rates. Its cheapest configuration that it says
meets the SLO stands beside our plan from the same kinds of GPUs at its own prices an hour, with no headroom and nothing
to survive: neither of which it can be told. Both are then played by `bench.simulate` at the stated rate.

A loss is a case where its recommendation keeps the SLO in the simulator and our plan is dearer, or there is none.
"""

from __future__ import annotations

import functools
import json
import math
import os
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.replay import TODAY, read
from bench.simulate import Seen, Stream, replay
from isthmus.contracts.requirements.document import Requirements
from isthmus.planning.catalogues import gpus, models
from isthmus.planning.options import candidates
from isthmus.planning.options.option import Rules
from isthmus.planning.sizing import fit as fits
from isthmus.planning.sizing import load, rounding, speed
from isthmus.planning.sizing.demand import HOURS_PER_MONTH
from isthmus.planning.solver import solution

VERSION = "0.3.3"
GPUS = {"H100": "h100-sxm-80gb", "A100-80": "a100-sxm-80gb"}
"""The kinds that its benchmarks are of."""
MARKS = {"-fp8-dynamic": "fp8", "-fp8": "fp8", "-quantized.w8a8": "int8", "-quantized.w4a16": "int4"}
REQUESTS, SHORTEST_S = 400, 60.0
LOWERED = 0.95
"""A step by which the goal for a token is."""
_P95_OF_NORMAL = 1.645


@dataclass(frozen=True)
class Case:
    """One question that both can be asked."""

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
    """So many replicas of so many GPUs of a kind."""

    gpu: str
    degree: int
    replicas: int

    def usd(self, prices: Mapping[str, float]) -> float:
        """A month."""
        return self.degree * self.replicas * prices[self.gpu] * HOURS_PER_MONTH

    def __str__(self) -> str:
        return f"{self.replicas} x {self.degree} x {self.gpu}"


@dataclass(frozen=True)
class Judged:
    """Both answers to a case, USD a month, and whether they keep the SLO in the simulator."""

    case: Case
    theirs: Setup
    theirs_bare: Setup
    """Without the fifth that it adds to every rate."""
    ours: Setup | None
    usd: float
    usd_bare: float
    ours_usd: float
    kept: bool
    kept_bare: bool | None
    """Asked only where ours is dearer than that, as is the next."""
    sure: bool | None
    """Theirs, at the slow end of the interval, which is what our plan is made for."""
    ours_kept: bool

    @property
    def lost(self) -> bool:
        return self.kept and self.ours_usd > self.usd + 0.01

    @property
    def lost_bare(self) -> bool:
        return bool(self.kept_bare) and self.ours_usd > self.usd_bare + 0.01


def named(repo: str) -> tuple[str, str] | None:
    """Our model and precision for its repository; None where our catalogue has none."""
    base, precision = repo.lower(), ""
    for mark, each in MARKS.items():
        if base.endswith(mark):
            base, precision = base.removesuffix(mark), each
            break
    short = base.rpartition("/")[2]
    for id in models.ids():
        if id.lower() == base or (precision and id.lower().rpartition("/")[2] == short):
            model = models.find_model(id)
            found = precision or ("bf16" if "bf16" in model.precisions else model.precisions[0])
            return (id, found) if found in model.precisions else None
    return None


def cases(rows: Sequence[Mapping[str, Any]]) -> dict[Case, list[tuple[Setup, Setup]]]:
    """Its configurations by case: as it recommends them, and without its fifth."""
    found: dict[Case, list[tuple[Setup, Setup]]] = {}
    for row in rows:
        known = named(row["repo"])
        if known is None or row["gpu"] not in GPUS:
            continue
        case = Case(
            row["use_case"],
            row["urgency"],
            row["repo"],
            *known,
            row["rate"],
            row["prompt"],
            round(row["prompt"] + _P95_OF_NORMAL * row["prompt_stdev"]),
            row["output"],
            round(row["output"] + _P95_OF_NORMAL * row["output_stdev"]),
            row["ttft_ms"],
            row["itl_ms"],
            row["e2e_ms"],
        )
        bare = max(1, math.ceil(row["rate"] / row["rps"] - 1e-9))
        both = (Setup(GPUS[row["gpu"]], row["degree"], count) for count in (row["replicas"], bare))
        found.setdefault(case, []).append(tuple(both))  # type: ignore[arg-type]
    return found


def requirements(case: Case, prices: Mapping[str, float], tpot_ms: float) -> Requirements:
    """One on-prem site with plenty of each kind, a GPU of which costs its price an hour."""
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
                            gpu: usd * HOURS_PER_MONTH * 8 * 12 for gpu, usd in prices.items()
                        },
                        "life_years": 1,
                        "power_kw_per_node": dict.fromkeys(prices, 0),
                    },
                }
            ],
        }
    )


def ours(case: Case, prices: Mapping[str, float]) -> Setup | None:
    """Our plan; None where there is none.

    The planner knows no goal for whole answers. So the goal for a token is lowered until, by our own prediction at the
    slow end of the interval, a long answer is in time.
    """
    goal = case.tpot_ms
    while True:
        wanted = requirements(case, prices, goal)
        solved = solution.solve_and_place(wanted, candidates.find_options(wanted, Rules(TODAY)))
        if solved is None:
            return None
        [(column, count)] = solved[0].replicas.items()
        setup = Setup(column.gpu, column.degree, count)
        if in_time(case, setup):
            return setup
        goal *= LOWERED


def in_time(case: Case, setup: Setup) -> bool:
    """Whether an answer of the 95th percentile's length is, as predicted at the slow end."""
    fit = fits.fit_model(case.model, setup.gpu, case.precision, setup.degree, case.longest, ())
    if isinstance(fit, str):
        return False
    lengths = load.Lengths(case.prompt, case.output, case.prompt_p95, case.output_p95)
    most = fits.max_running_requests(fit, lengths)
    slow = load.serve_workload(
        fit.speed.at(speed.EIGHTY_PERCENT_DEVIATIONS), lengths, case.rate / setup.replicas, most
    )
    return slow is not None and slow.ttft_mean + slow.tpot_mean * case.output_p95 <= case.e2e_ms


def kept(case: Case, setup: Setup) -> bool:
    """Whether it keeps the SLO at the rate; not where our model of memory has it that it does not start."""
    seen = played(*_question(case), setup, 0.0)
    return seen is not None and within(case, seen)


def sure(case: Case, setup: Setup) -> bool:
    """Whether it keeps the SLO at the slow end of the interval too, as our plans must."""
    slow, middle = (
        played(*_question(case), setup, deviations) for deviations in (speed.EIGHTY_PERCENT_DEVIATIONS, 0.0)
    )
    if slow is None or middle is None or not within(case, slow):
        return False
    # What first tokens have besides the steps, as a promise of ours has it.
    return rounding.first_token_interval(middle, middle, middle)[1] <= case.ttft_ms  # type: ignore[arg-type]


def _question(case: Case) -> tuple[str, str, int, float, tuple[float, float, float, float]]:
    lengths = (case.prompt, case.prompt_p95, case.output, case.output_p95)
    return case.model, case.precision, case.longest, case.rate, lengths


@functools.lru_cache(maxsize=4096)
def played(
    model: str,
    precision: str,
    longest: int,
    rate: float,
    lengths: tuple[float, float, float, float],
    setup: Setup,
    deviations: float,
) -> Seen | None:
    """What its requests meet; None where it does not start. Use cases of one shape ask the same."""
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


def within(case: Case, seen: Seen) -> bool:
    """All that it states: first token, further tokens, whole answers."""
    late = seen.ttft_p95 > case.ttft_ms or seen.tpot_p95 > case.tpot_ms or seen.e2e_p95 > case.e2e_ms
    return not late and not seen.unfinished


def judge(case: Case, offered: Sequence[tuple[Setup, Setup]], prices: Mapping[str, float]) -> Judged:
    """Its cheapest beside ours; of two that cost the same the one with more GPUs to a replica, which is quicker."""
    theirs = min((each for each, _ in offered), key=lambda each: (each.usd(prices), -each.degree))
    bare = min((each for _, each in offered), key=lambda each: (each.usd(prices), -each.degree))
    mine = ours(case, prices)
    usd = mine.usd(prices) if mine else math.inf
    dearer, dearer_bare = usd > theirs.usd(prices) + 0.01, usd > bare.usd(prices) + 0.01
    return Judged(
        case,
        theirs,
        bare,
        mine,
        theirs.usd(prices),
        bare.usd(prices),
        usd,
        kept(case, theirs),
        kept(case, bare) if dearer_bare else None,
        sure(case, theirs) if dearer else None,
        mine is not None and kept(case, mine),
    )


def summary(judged: Sequence[Judged]) -> Iterator[str]:
    """The figures, in sentences."""

    def count(holds: Callable[[Judged], bool | None]) -> int:
        return sum(bool(holds(each)) for each in judged)

    planned, lost = count(lambda each: each.ours is not None), count(lambda each: each.lost)
    yield f"{len(judged)} cases; its cheapest keeps the SLO in {count(lambda each: each.kept)}"
    yield (
        f"ours keeps it in {count(lambda each: each.ours_kept)} of {planned}; "
        f"in {len(judged) - planned} there is no plan of ours"
    )
    yield (
        f"losses: {lost}, of which {count(lambda each: each.lost and each.sure)} keep the SLO at the slow end "
        f"too; against it without its fifth {count(lambda each: each.lost_bare)}"
    )
    both = [each for each in judged if each.kept and each.ours_kept]
    if both:
        ratio = statistics.median(each.ours_usd / each.usd for each in both)
        whole = sum(each.ours_usd for each in both) / sum(each.usd for each in both)
        yield (
            f"where both keep it ({len(both)}): ours is cheaper in "
            f"{sum(each.ours_usd < each.usd - 0.01 for each in both)}, and costs {ratio:.2f} times as much by the "
            f"median, {whole:.2f} times in all"
        )


def environment() -> Path:
    """The Python of a venv that has it; made where it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "isthmus" / f"llm-d-planner-{VERSION}"
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", f"llm-d-planner=={VERSION}"]
        subprocess.run(command, check=True)
        (folder / "made").touch()
    return python


def asked(urgencies: Sequence[str]) -> list[dict[str, Any]]:
    """Its prices, then its configurations. In a folder of its own it imports nothing of ours."""
    script = Path(__file__).with_name("rival_ask.py")
    done = subprocess.run(
        [str(environment()), str(script), *urgencies],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=script.parent,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def main(words: list[str]) -> int:
    first, *rows = asked(words or ["medium"])
    prices = {ours: first["prices"][theirs] for theirs, ours in GPUS.items()}
    judged = []
    for case, offered in cases(rows).items():
        each = judge(case, offered, prices)
        judged.append(each)
        what = f"{case.repo}, {case.use_case}, {case.urgency}, {case.rate:g}/s: theirs {each.theirs}"
        if each.lost:
            slow = "holds" if each.sure else "does not hold"
            print(f"  loss: {what}, ours {each.ours}; theirs {slow} at the slow end", flush=True)
        elif not each.kept:
            print(f"  missed: {what}, ours {each.ours}", flush=True)
    for line in summary(judged):
        print(line)
    return 0 if not any(each.lost for each in judged) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
