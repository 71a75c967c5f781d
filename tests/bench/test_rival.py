"""The comparison with `llm-d-planner`, without it: what is asked, how ours is planned, and who has lost."""

from __future__ import annotations

import ast
import dataclasses
import math
from pathlib import Path

import pytest

from bench import rival, rival_query
from bench.rival import Case, Judgement, Setup
from isthmus.planning.options import candidates, monthly_costs
from isthmus.planning.options.option import Rules
from isthmus.planning.sizing.demand import HOURS_PER_MONTH
from isthmus.planning.solver import solution

PRICES = {"h100-sxm-80gb": 4.5, "a100-sxm-80gb": 3.5}
ROW = {
    "use_case": "chatbot_conversational",
    "urgency": "medium",
    "rate": 4.0,
    "ttft_ms": 300,
    "itl_ms": 30,
    "e2e_ms": 8620,
    "prompt": 512,
    "output": 256,
    "prompt_stdev": 128,
    "output_stdev": 64,
    "repo": "redhatai/phi-4-fp8-dynamic",
    "gpu": "H100",
    "degree": 1,
    "replicas": 5,
    "rps": 1.0,
}
SMALL, LARGE = Setup("h100-sxm-80gb", 1, 1), Setup("h100-sxm-80gb", 2, 3)


def case(**changes: object) -> Case:
    [found] = rival.cases([{**ROW, **changes}])
    return found


@pytest.mark.parametrize(
    ("repo", "known"),
    [
        ("meta-llama/llama-3.1-8b-instruct", ("meta-llama/Llama-3.1-8B-Instruct", "bf16")),
        ("openai/gpt-oss-120b", ("openai/gpt-oss-120b", "mxfp4")),
        ("redhatai/phi-4-quantized.w8a8", ("microsoft/phi-4", "int8")),
        ("redhatai/qwen2.5-7b-instruct-quantized.w4a16", ("Qwen/Qwen2.5-7B-Instruct", "int4")),
        ("redhatai/smollm3-3b-fp8-dynamic", None),
    ],
)
def test_its_repositories_are_our_models_in_a_precision(repo: str, known: tuple[str, str] | None) -> None:
    assert rival.catalogue_model_of(repo) == known


def test_its_configurations_are_gathered_by_question_with_and_without_its_fifth() -> None:
    found = rival.cases([ROW, {**ROW, "gpu": "A100-80"}, {**ROW, "gpu": "MI300X"}, {**ROW, "rate": 16.0}])
    assert [len(each) for each in found.values()] == [2, 1]
    assert found[case()] == [
        (Setup(gpu, 1, 5), Setup(gpu, 1, 4)) for gpu in ("h100-sxm-80gb", "a100-sxm-80gb")
    ]


def test_lengths_are_its_own() -> None:
    found = case()
    assert (found.prompt_p95, found.output_p95) == (round(512 + 1.645 * 128), round(256 + 1.645 * 64))


def test_a_whole_answer_that_must_come_sooner_takes_more() -> None:
    loose, tight = (rival.plan_setup(case(e2e_ms=e2e), PRICES) for e2e in (100_000, 2500))
    assert loose is not None
    assert tight is not None
    assert tight.usd(PRICES) > loose.usd(PRICES)
    assert rival.in_time(case(e2e_ms=2500), tight)
    assert not rival.in_time(case(e2e_ms=2500), loose)
    assert rival.plan_setup(case(e2e_ms=50), PRICES) is None


def test_a_gpu_costs_both_the_same() -> None:
    requirements = rival.requirements(case(), PRICES, 30)
    [site] = requirements.sites
    for pool in site.pools:  # type: ignore[union-attr]
        node = monthly_costs.node_cost(site, pool, "allocated")  # type: ignore[arg-type]
        assert not isinstance(node, str)
        assert node.of_gpu(pool, "allocated") == pytest.approx(PRICES[pool.gpu] * HOURS_PER_MONTH)
    mine = rival.plan_setup(case(), PRICES)
    solved = solution.solve_and_place(
        requirements, candidates.find_options(requirements, Rules("2026-11-25"))
    )
    assert mine is not None
    assert solved is not None
    assert solved[0].cost == pytest.approx(mine.usd(PRICES))


def test_a_setup_keeps_the_slo_or_it_does_not() -> None:
    wanted = case(rate=16.0, output=64, output_stdev=16)
    assert rival.meets_slo(wanted, Setup("h100-sxm-80gb", 1, 8))
    assert not rival.meets_slo(dataclasses.replace(wanted, e2e_ms=300), Setup("h100-sxm-80gb", 1, 8))
    assert not rival.meets_slo(dataclasses.replace(wanted, model="openai/gpt-oss-120b"), SMALL)


def judged(ours: Setup | None, *, kept: bool, sure: bool | None = None) -> Judgement:
    mine = ours.usd(PRICES) if ours else math.inf
    return Judgement(case(), SMALL, SMALL, ours, 3285.0, 3285.0, mine, kept, kept, sure, ours is not None)


def test_who_is_dearer_loses_and_only_to_what_keeps_the_slo() -> None:
    rows = [
        judged(LARGE, kept=True, sure=True),
        judged(LARGE, kept=False),
        judged(SMALL, kept=True),
        judged(None, kept=True, sure=False),
    ]
    assert [each.is_loss for each in rows] == [True, False, False, True]
    told = list(rival.summary(rows))
    assert told[0] == "4 cases; its cheapest keeps the SLO in 3"
    assert told[1] == "ours keeps it in 3 of 3; in 1 there is no plan of ours"
    assert told[2].startswith("losses: 2, of which 1 keep the SLO at the slow end too")
    assert told[3].startswith("where both keep it (2): ours is cheaper in 0, and costs 3.50 times")


def test_the_script_that_asks_runs_without_ours() -> None:
    tree = ast.parse(Path(rival_query.__file__).read_text("utf-8"))
    imported = {
        each.module if isinstance(each, ast.ImportFrom) else each.names[0].name
        for each in ast.walk(tree)
        if isinstance(each, ast.Import | ast.ImportFrom)
    }
    assert not {each for each in imported if each and each.startswith(("isthmus", "bench"))}
