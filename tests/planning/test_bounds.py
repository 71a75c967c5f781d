"""External limits of a plan: AWS quotas, growth, fine-tuned models, and what a blueprint builds."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from bench.replay import CLASSES, OFFERS, TODAY, read
from isthmus.contracts.plan import bedrock_quotas
from isthmus.contracts.plan.document import Plan
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from isthmus.planning import planner
from isthmus.planning.catalogues import aws_instances
from isthmus.planning.options import candidates
from isthmus.planning.options.option import Rules
from isthmus.planning.planner import BlueprintOffer
from isthmus.planning.solver import problem, program
from tests.bench.test_breaking import _workload
from tests.planning.test_hardware import cloud, copy, endpoint_of, make, small
from tests.planning.test_planner import ROOT, bank, without_guardrail_prices, workload

# -- quotas and growth


QUOTAS = {"g": "Running On-Demand G and VT instances", "p": "Running On-Demand P instances"}
HAIKU_TOKENS = "Cross-Region InvokeModel tokens per minute for Anthropic Claude Haiku 4.5"


def test_work_moves_to_another_target_if_the_aws_quota_is_too_small() -> None:
    data = without_guardrail_prices(copy())
    data["sites"][0]["pools"][0]["nodes"] = 4
    data["sites"][1]["quotas"] = {HAIKU_TOKENS: 1e6}
    plan = make(data, OFFERS)
    assert endpoint_of(plan, "internal").target == "onprem-vllm"
    data["sites"][1]["quotas"] = {HAIKU_TOKENS: 1e9}
    assert endpoint_of(make(data, OFFERS), "internal").target == "bedrock"


def test_overflow_counts_against_a_quota_by_its_share_of_the_peak() -> None:
    data = json.loads(json.dumps(yaml_files.load(ROOT / "examples" / "bank-overflow.requirements.yaml").data))
    plan = make(data, OFFERS)
    [over] = [placement for placement in plan.placements if placement.role == "overflow"]
    assert over.peak_share is not None
    assert over.peak_share > over.share
    [need] = [
        need
        for need in bedrock_quotas.quota_needs(plan, read(data))
        if need.kind == "requests" and plan.endpoints[need.endpoint].id == over.endpoint
    ]
    rate = workload(data, over.workload)["traffic"]["peak_rps"]
    assert need.amount == math.ceil(rate * over.peak_share * 1.3 * 60 - 1e-6)
    name = "On-demand InvokeModel requests per minute for OpenAI gpt-oss-120b"
    data["sites"][1]["quotas"] = {name: need.amount}
    assert [
        placement.peak_share for placement in make(data, OFFERS).placements if placement.role == "overflow"
    ] == [over.peak_share]
    data["sites"][1]["quotas"] = {name: need.amount - 1}
    smaller = make(data, OFFERS)
    assert all(
        (placement.peak_share or 1) < over.peak_share
        for placement in smaller.placements
        if placement.role == "overflow"
    )


def test_a_quota_of_an_unknown_model_is_refused() -> None:
    data = copy()
    data["sites"][1]["quotas"] = {HAIKU_TOKENS.replace("Haiku", "Hiku"): 1}
    with pytest.raises(InputError, match="does not match any model of the catalogue"):
        make(data, OFFERS)


def test_a_quota_that_makes_a_plan_infeasible_is_listed_as_a_conflict() -> None:
    data = copy()
    data["workloads"] = [workload(data, "policy-assistant")]
    data["workloads"][0]["model"]["candidates"] = data["workloads"][0]["model"]["candidates"][:1]
    data["sites"][1]["quotas"] = {HAIKU_TOKENS: 1000}
    plan = make(data, OFFERS)
    assert plan.conflicts == ["frankfurt: the quotas of its account"]


def test_the_plan_respects_the_instance_quota_of_an_account() -> None:
    def under(**quotas: float) -> Plan:
        return make({**cloud(quotas={QUOTAS[key]: value for key, value in quotas.items()}), "budget": None})

    free = endpoint_of(under(), "confidential")
    assert free.instance_type is not None
    vcpus = aws_instances.find(free.instance_type).vcpus * (free.replicas or 0)
    assert endpoint_of(under(g=vcpus), "confidential") == free
    bound = under(g=vcpus - 1)
    assert endpoint_of(bound, "confidential") != free
    assert (bound.monthly_cost_usd or 0) > (under().monthly_cost_usd or 0)
    none = under(g=vcpus - 1, p=0)
    assert "frankfurt: the quotas of its account" in none.conflicts


def test_needing_more_than_the_default_aws_quota_gives_a_warning() -> None:
    data = copy()
    workload(data, "campaign-copy")["traffic"].update(peak_rps=10, mean_rps=0.1)
    plan = make(data, OFFERS)
    [warning] = [warning for warning in plan.warnings if "AWS's default" in warning and "tokens" in warning]
    assert warning.startswith(
        "amazon.nova-lite-v1:0 at frankfurt needs 858,000 tokens a minute at its peak with headroom, but"
    )
    data["sites"][1]["quotas"] = {"Cross-Region InvokeModel tokens per minute for Amazon Nova Lite": 1e6}
    assert not any("tokens" in warning for warning in make(data, OFFERS).warnings)


def test_the_growth_report_names_the_endpoint_that_is_too_small_and_when() -> None:
    data = copy()
    assert make(data, OFFERS).stress is not None
    workload(data, "kyc-extraction")["traffic"]["growth_pct_month"] = 10
    plan = make(data, OFFERS)
    assert plan.stress is not None
    endpoint = endpoint_of(plan, "confidential")
    assert plan.stress.outgrown_first == endpoint.id
    assert endpoint.predicted is not None
    ratio = (endpoint.predicted.capacity_rps or 0) / endpoint.predicted.peak_rps
    assert plan.stress.outgrown_in_months == math.floor(math.log(ratio) / math.log(1.1)) + 1


# -- models of one's own


def test_a_fine_tuned_model_is_sized_like_its_base_model() -> None:
    data = small("none")
    plain = endpoint_of(make(data, OFFERS), "restricted")
    [candidate] = data["workloads"][0]["model"]["candidates"]
    candidate.update(id="bank/narratives-8b", base=candidate["id"])
    own_endpoint = endpoint_of(make(data, OFFERS), "restricted")
    assert (own_endpoint.model, own_endpoint.id) == ("bank/narratives-8b", "restricted-narratives-8b")
    assert (own_endpoint.predicted, own_endpoint.gpus, own_endpoint.max_num_seqs) == (
        plain.predicted,
        plain.gpus,
        plain.max_num_seqs,
    )
    candidate["base"] = "CohereLabs/c4ai-command-r-08-2024"
    find = candidates.find_options(read(data), Rules(TODAY))
    assert any(
        "does not allow commercial use" in transaction_narrative
        for transaction_narrative in find.rejected["transaction-narratives"]
    )


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        ({"id": "bank/ours"}, "`bank/ours` is not in the catalogue.*set `base`"),
        (
            {"id": "bank/ours", "base": "Qwen/Qwen3-8b"},
            "`Qwen/Qwen3-8b` is not in the catalogue.*mean `Qwen/Qwen3-8B`",
        ),
        (
            {"id": "Qwen/Qwen3-8B", "base": "Qwen/Qwen3-14B"},
            "is a model of the catalogue, so it cannot be tuned from",
        ),
    ],
)
def test_an_unknown_or_misplaced_base_model_is_refused(candidate: dict[str, Any], message: str) -> None:
    data = small("none")
    data["workloads"][0]["model"]["candidates"] = [{**candidate, "scores": {"fp8": 0.9}}]
    with pytest.raises(InputError) as error:
        make(data)
    assert re.search(message, f"{error.value.what}. {error.value.fix}")


# -- blueprints


def test_every_blueprint_is_compared_by_its_best_plan() -> None:
    offers = (
        BlueprintOffer("on-prem", CLASSES, 0, None, frozenset({"onprem-vllm"})),
        BlueprintOffer("large", CLASSES, 64, None, frozenset({"onprem-vllm", "bedrock"})),
        BlueprintOffer("tiny", CLASSES, 0, 2, frozenset({"onprem-vllm", "bedrock"})),
        *OFFERS,
        BlueprintOffer("cloud", CLASSES[:2], 0, None, frozenset({"bedrock"})),
    )
    plan = planner.make_plan(read(bank()), offers, TODAY).plan
    assert plan.blueprint == "regulated-hybrid"
    alternatives = {alternative.blueprint: alternative for alternative in plan.alternatives or []}
    assert alternatives["on-prem"].monthly_cost_usd is None
    assert alternatives["on-prem"].rejected_because == [
        "its targets (onprem-vllm) cannot carry all workloads within the requirements"
    ]
    same = planner.make_plan(read(bank()), (*OFFERS, BlueprintOffer("second", CLASSES, 0, None)), TODAY).plan
    assert [alternative.rejected_because for alternative in same.alternatives or []] == [
        ["its best plan costs the same, but it builds more components than regulated-hybrid"]
    ]
    assert alternatives["large"].rejected_because == [
        "it needs a plan of at least 64 GPUs, and 10 are needed"
    ]
    assert alternatives["large"].monthly_cost_usd == plan.monthly_cost_usd
    assert alternatives["tiny"].rejected_because == ["it supports at most 2 GPUs, and more are needed"]
    assert alternatives["cloud"].rejected_because == [
        "it does not support confidential, restricted workloads"
    ]
    assert alternatives["cloud"].monthly_cost_usd is None


def test_workloads_that_do_not_fit_together_are_reported_as_a_shortage_of_gpus() -> None:
    """By the sum of what each takes alone one GPU would do."""
    data = copy(budget=None, objective={"cost_basis": "allocated", "near_tie_pct": 0})
    pool = data["sites"][0]["pools"][0]
    data["sites"][0]["pools"] = [{**pool, "nodes": 1, "gpus_per_node": 1, "failure_domains": 1}]
    data["workloads"] = [
        _workload("short", "internal", 2, (700, 1600), (22, 34), 40),
        _workload("long", "internal", 2, (2000, 5400), (124, 200), 60),
    ]
    requirements = read(data)
    find = candidates.find_options(requirements, Rules(TODAY))
    assert program.solve(problem.Problem(requirements, find)) is not None
    plan = make(data, OFFERS)
    assert plan.conflicts == ["fra1: 1 x h100-sxm-80gb"]
    assert [remedy.what for remedy in plan.ways_out] == ["1 more h100-sxm-80gb at fra1 (1 node)"]
