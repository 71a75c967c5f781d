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
    [single_case] = rival.cases([{**ROW, **changes}])
    return single_case


@pytest.mark.parametrize(
    ("repo", "expected"),
    [
        ("meta-llama/llama-3.1-8b-instruct", ("meta-llama/Llama-3.1-8B-Instruct", "bf16")),
        ("openai/gpt-oss-120b", ("openai/gpt-oss-120b", "mxfp4")),
        ("redhatai/phi-4-quantized.w8a8", ("microsoft/phi-4", "int8")),
        ("redhatai/qwen2.5-7b-instruct-quantized.w4a16", ("Qwen/Qwen2.5-7B-Instruct", "int4")),
        ("redhatai/smollm3-3b-fp8-dynamic", None),
    ],
)
def test_repositories_of_the_rival_map_to_a_model_and_a_precision(
    repo: str, expected: tuple[str, str] | None
) -> None:
    assert rival.catalogue_model_of(repo) == expected


def test_configurations_are_grouped_by_case_with_and_without_the_rivals_margin() -> None:
    configurations_by_case = rival.cases(
        [ROW, {**ROW, "gpu": "A100-80"}, {**ROW, "gpu": "MI300X"}, {**ROW, "rate": 16.0}]
    )
    assert [len(configurations) for configurations in configurations_by_case.values()] == [2, 1]
    assert configurations_by_case[case()] == [
        (Setup(gpu, 1, 5), Setup(gpu, 1, 4)) for gpu in ("h100-sxm-80gb", "a100-sxm-80gb")
    ]


def test_lengths_come_from_the_rivals_statistics() -> None:
    lengths_case = case()
    assert (lengths_case.prompt_p95, lengths_case.output_p95) == (
        round(512 + 1.645 * 128),
        round(256 + 1.645 * 64),
    )


def test_a_shorter_limit_for_whole_answers_needs_more_gpus() -> None:
    loose, tight = (rival.plan_setup(case(e2e_ms=e2e), PRICES) for e2e in (100_000, 2500))
    assert loose is not None
    assert tight is not None
    assert tight.usd(PRICES) > loose.usd(PRICES)
    assert rival.in_time(case(e2e_ms=2500), tight)
    assert not rival.in_time(case(e2e_ms=2500), loose)
    assert rival.plan_setup(case(e2e_ms=50), PRICES) is None


def test_a_gpu_has_the_same_price_for_both() -> None:
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


def test_a_setup_misses_an_slo_that_is_too_strict_and_one_of_a_model_that_does_not_fit() -> None:
    busy_case = case(rate=16.0, output=64, output_stdev=16)
    assert rival.meets_slo(busy_case, Setup("h100-sxm-80gb", 1, 8))
    assert not rival.meets_slo(dataclasses.replace(busy_case, e2e_ms=300), Setup("h100-sxm-80gb", 1, 8))
    assert not rival.meets_slo(dataclasses.replace(busy_case, model="openai/gpt-oss-120b"), SMALL)


def judged(
    isthmus: Setup | None, *, rival_meets_slo: bool, meets_slo_at_slow_end: bool | None = None
) -> Judgement:
    isthmus_usd = isthmus.usd(PRICES) if isthmus else math.inf
    return Judgement(
        case(),
        SMALL,
        SMALL,
        isthmus,
        3285.0,
        3285.0,
        isthmus_usd,
        rival_meets_slo,
        rival_meets_slo,
        meets_slo_at_slow_end,
        isthmus is not None,
    )


def test_isthmus_loses_only_to_a_cheaper_setup_that_meets_the_slo() -> None:
    rows = [
        judged(LARGE, rival_meets_slo=True, meets_slo_at_slow_end=True),
        judged(LARGE, rival_meets_slo=False),
        judged(SMALL, rival_meets_slo=True),
        judged(None, rival_meets_slo=True, meets_slo_at_slow_end=False),
    ]
    assert [judgement.is_loss for judgement in rows] == [True, False, False, True]
    lines = list(rival.summary(rows))
    assert lines[0] == "4 cases; its cheapest keeps the SLO in 3"
    assert lines[1] == "ours keeps it in 3 of 3; in 1 there is no plan of ours"
    assert lines[2].startswith("losses: 2, of which 1 keep the SLO at the slow end too")
    assert lines[3].startswith("where both keep it (2): ours is cheaper in 0, and costs 3.50 times")


def test_the_query_script_imports_nothing_of_isthmus() -> None:
    tree = ast.parse(Path(rival_query.__file__).read_text("utf-8"))
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert not {module for module in imported if module and module.startswith(("isthmus", "bench"))}
