"""Plans on every kind of hardware: instances, MIG slices, several nodes, quotas, growth and missing prices."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from bench.replay import CLASSES, OFFERS, TODAY, read
from isthmus.blueprints import render
from isthmus.contracts.plan import rules as plan_rules
from isthmus.contracts.plan.document import Plan, PlannedEndpoint
from isthmus.contracts.reference import model_profiles
from isthmus.core.errors import InputError, IsthmusError
from isthmus.planning import planner
from isthmus.planning.catalogues import aws_instances
from isthmus.planning.options import candidates, hardware
from isthmus.planning.options.option import OnGpus, Rules
from isthmus.planning.planner import BlueprintOffer
from isthmus.planning.solver import solution as solving
from tests.planning.test_planner import bank, recomputed, workload

ALL = frozenset({"onprem-vllm", "bedrock", "eks-vllm", "sagemaker", "mig", "several-nodes"})
EVERYTHING = (BlueprintOffer("everything", CLASSES, 0, None, ALL),)
SLOW = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
EU = "anthropic.claude-haiku-4-5-20251001-v1:0"


def copy(**changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(bank(**changes)))


def cloud(**site: Any) -> dict[str, Any]:
    """The bank's work that may leave, with no site of its own."""
    data = copy(links=[])
    data["sites"] = [{**data["sites"][1], **site}]
    data["workloads"] = data["workloads"][1:]
    return data


def small(survive: str, id: str = "meta-llama/Llama-3.1-8B-Instruct", **pool: Any) -> dict[str, Any]:
    """One restricted workload of little load on the bank's H100."""
    data = copy()
    data["workloads"] = [data["workloads"][0]]
    workload_data = data["workloads"][0]
    workload_data["survive"] = survive
    del workload_data["slo"]["availability"]  # the planner would raise `survive` for it
    workload_data["traffic"].update(peak_rps=0.2, mean_rps=0.1)
    workload_data["model"] = {
        "candidates": [{"id": id, "scores": {"fp8": 0.9}}],
        "min_score": 0.5,
        "context_tokens": 8192,
    }
    data["sites"][0]["pools"] = [{**data["sites"][0]["pools"][0], **pool}]
    return data


def make(data: dict[str, Any], offers: tuple[BlueprintOffer, ...] = EVERYTHING) -> Plan:
    """A plan that holds to what every plan is held to, and whose cost can be computed again."""
    requirements = read(data)
    plan = planner.make_plan(requirements, offers, TODAY).plan
    if plan.feasible:
        plan_rules.check(plan, requirements)
        assert recomputed(plan) == plan.monthly_cost_usd
    return plan


def endpoint_of(plan: Plan, class_: str) -> PlannedEndpoint:
    return next(endpoint for endpoint in plan.endpoints if endpoint.class_ == class_)


# -- AWS's instances


def test_confidential_work_runs_on_aws_instances_if_there_is_no_on_prem_site() -> None:
    plan = make(cloud())
    endpoint_found = endpoint_of(plan, "confidential")
    assert (endpoint_found.target, endpoint_found.region, endpoint_found.purchase) == (
        "eks-vllm",
        "eu-central-1",
        "on-demand",
    )
    assert endpoint_found.instance_type is not None
    kind = aws_instances.find(endpoint_found.instance_type)
    assert "eu-central-1" in kind.regions
    assert kind.gpu == endpoint_found.gpu
    [item] = [
        cost_item for cost_item in plan.cost_items or [] if endpoint_found.instance_type in cost_item.what
    ]
    assert item.evidence is not None
    assert item.evidence.kind == "list-price"
    assert item.quantity == 730 * math.ceil(
        (endpoint_found.replicas or 0) * (endpoint_found.tensor_parallel or 0) / kind.gpus
    )
    assert any(cost_item.what == "frankfurt: EKS cluster" for cost_item in plan.cost_items or [])


def test_a_plan_is_infeasible_if_the_blueprint_does_not_build_its_instances() -> None:
    plan = make(cloud(), OFFERS)
    assert not plan.feasible
    assert plan.conflicts == [
        "kyc-extraction: Qwen/Qwen3-32B at fp8 on sagemaker: the blueprint does not build sagemaker"
    ]


def test_restricted_work_never_runs_on_aws_instances_whatever_the_site_allows() -> None:
    data = copy(links=[])
    data["sites"] = [data["sites"][1]]
    find = candidates.find_options(read(data), Rules(TODAY, ALL))
    assert find.by_workload["transaction-narratives"] == []
    assert any(
        "restricted work may not run on eks-vllm" in transaction_narrative
        for transaction_narrative in find.rejected["transaction-narratives"]
    )


def test_confidential_work_reaches_instances_over_a_private_link_only() -> None:
    data = copy(links=[])
    find = candidates.find_options(read(data), Rules(TODAY, ALL))
    assert {option.site for option in find.by_workload["kyc-extraction"]} == {"fra1"}
    assert any("needs a private link" in reason for reason in find.rejected["kyc-extraction"])
    linked = candidates.find_options(read(copy()), Rules(TODAY, ALL))
    assert {option.site for option in linked.by_workload["kyc-extraction"]} == {"fra1", "frankfurt"}
    assert all(
        option.monthly > 0 for option in linked.by_workload["kyc-extraction"] if option.site == "frankfurt"
    )


def test_a_price_of_another_region_or_service_is_never_used() -> None:
    targets = {
        option.column.target
        for options in candidates.find_options(read(cloud()), Rules(TODAY, ALL)).by_workload.values()
        for option in options
        if isinstance(option, OnGpus)
    }
    assert targets == {"eks-vllm"}, "no price of SageMaker in eu-central-1 is known"
    own_prices = {"ml.g6e.12xlarge": {"usd_per_hour": 15.0, "as_of": "2026-11-01"}}
    find = candidates.find_options(read(cloud(prices=own_prices)), Rules(TODAY, ALL))
    bought = {
        (option.column.instance, option.column.degree)
        for option in find.by_workload["kyc-extraction"]
        if isinstance(option, OnGpus) and option.column.target == "sagemaker"
    }
    assert bought == {("ml.g6e.12xlarge", 1), ("ml.g6e.12xlarge", 2)}


def test_a_commitment_is_planned_only_if_its_term_is_allowed() -> None:
    prices = {
        "g6e.12xlarge/reserved-12": {"usd_per_hour": 5.0, "as_of": "2026-11-01", "source": "our contract"}
    }
    data = cloud(prices=prices)
    assert {endpoint.purchase for endpoint in make(data).endpoints} == {"on-demand", None}
    plan = make({**data, "commitments": {"max_term_months": 12}})
    assert endpoint_of(plan, "confidential").purchase == "reserved-12"
    assert any(
        cost_item.evidence and cost_item.evidence.source == "our contract"
        for cost_item in plan.cost_items or []
    )
    short = make({**data, "commitments": {"max_term_months": 6}})
    assert endpoint_of(short, "confidential").purchase == "on-demand"


def test_a_term_without_a_stated_price_gives_a_warning_with_the_key_to_add() -> None:
    data = cloud()
    assert not [warning for warning in make(data).warnings if "max_term_months" in warning]
    plan = make({**data, "commitments": {"max_term_months": 12}})
    rented = endpoint_of(plan, "confidential").instance_type
    (warning,) = [warning for warning in plan.warnings if "max_term_months" in warning]
    assert f"e.g. `{rented}/reserved-12: {{usd_per_hour: " in warning


def test_endpoints_that_survive_a_zone_loss_are_in_two_zones() -> None:
    data = cloud()
    workload(data, "kyc-extraction")["survive"] = "domain"
    endpoint_found = endpoint_of(make(data), "confidential")
    assert endpoint_found.predicted is not None
    assert (endpoint_found.predicted.after_loss_rps or 0) >= 20
    assert (endpoint_found.predicted.after_loss_rps or 0) <= (
        endpoint_found.predicted.capacity_rps or 0
    ) / 2 * 1.01
    assert endpoint_found.replicas_by_domain is None


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        (
            {"g6e.12xlarge": {"usd_per_hour": "cheap", "as_of": "x"}},
            "usd_per_hour is 'cheap', but must be a number of at least 0",
        ),
        ({"g6e.12xlarge": {"usd_per_hour": 3}}, "the price has no date"),
        ({"g6e.13xlarge": {"usd_per_hour": 3}}, r"`g6e.13xlarge` is not the name of a model, .* an instance"),
        ({"amazon.nova-lite-v2:0": {}}, r"Did you mean `amazon.nova-lite-v1:0`"),
    ],
)
def test_an_invalid_price_or_a_price_of_an_unknown_instance_is_refused(
    prices: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as error:
        make(cloud(prices=prices))
    assert re.search(message, f"{error.value.what}. {error.value.fix}")


# -- slices and several nodes


def test_two_replicas_with_a_small_load_share_a_mig_gpu() -> None:
    plan_found = make(small("replica"))
    [endpoint] = plan_found.endpoints
    assert (endpoint.mig_profile, endpoint.replicas, endpoint.gpus) == ("3g.40gb", 2, 2)
    assert [
        cost_item.quantity for cost_item in plan_found.cost_items or [] if cost_item.what.endswith("capital")
    ] == [1]
    assert endpoint.evidence is not None
    assert endpoint.evidence.kind == "estimated"


def test_mig_slices_need_a_pool_that_allows_them_and_a_blueprint_that_builds_them() -> None:
    for data, offers in ((small("replica", mig="off"), EVERYTHING), (small("replica"), OFFERS)):
        [endpoint] = make(data, offers).endpoints
        assert (endpoint.mig_profile, endpoint.gpus) == (None, 2)


def test_an_endpoint_that_survives_a_node_loss_shares_no_mig_gpu() -> None:
    data = small("node")
    data["sites"][0]["pools"][0]["gpus_per_node"] = 1
    data["sites"][0]["cost"]["capex_usd_per_node"]["h100-sxm-80gb"] = 40000
    requirements = read(data)
    find = candidates.find_options(requirements, Rules(TODAY, ALL))
    cut = [
        transaction_narrative
        for transaction_narrative in find.by_workload["transaction-narratives"]
        if isinstance(transaction_narrative, OnGpus) and transaction_narrative.column.mig
    ]
    assert cut
    find.by_workload["transaction-narratives"] = list(cut)
    solved = solving.solve_and_place(requirements, find)
    assert solved is not None
    solution, placed = solved
    [(column, count)] = solution.replicas.items()
    assert count == 2 * hardware.replicas_per_unit(column)
    assert placed[column].lost("node") == hardware.replicas_per_unit(column)
    assert hardware.gpus_in_use(solution.replicas) == {("fra1", "h100-sxm-80gb"): 2}


def test_two_classes_never_share_a_mig_gpu() -> None:
    data = small("replica")
    data["workloads"].append({**data["workloads"][0], "name": "other", "sensitivity": "confidential"})
    plan = make(data)
    assert all(endpoint.mig_profile for endpoint in plan.endpoints)
    assert [
        cost_item.quantity for cost_item in plan.cost_items or [] if cost_item.what.endswith("capital")
    ] == [2]
    data["workloads"][1].update(sensitivity="restricted")
    data["workloads"][1]["model"] = {
        "candidates": [{"id": "Qwen/Qwen3-8B", "scores": {"fp8": 0.9}}],
        "min_score": 0.5,
        "context_tokens": 8192,
    }
    data["workloads"][0]["survive"] = data["workloads"][1]["survive"] = "none"
    plan = make(data)
    assert len(plan.endpoints) == 2
    assert [
        cost_item.quantity for cost_item in plan.cost_items or [] if cost_item.what.endswith("capital")
    ] == [1]


def test_a_model_larger_than_a_node_spans_several_nodes_of_one_failure_domain() -> None:
    data = small("domain", "deepseek-ai/DeepSeek-V3", nodes=6, failure_domains=2)
    requirements = read(data)
    find = candidates.find_options(requirements, Rules(TODAY, ALL))
    solved = solving.solve_and_place(requirements, find)
    assert solved is not None
    [(column, count)] = solved[0].replicas.items()
    assert (column.nodes, column.degree, count) == (2, 8, 2)
    assert solved[1][column].replicas == ((0, 2), (1, 3))
    assert solved[1][column].lost("domain") == 1
    [endpoint] = make(data).endpoints
    assert (endpoint.nodes_per_replica, endpoint.gpus) == (2, 32)
    assert endpoint.id == "restricted-deepseek-v3"


def test_surviving_a_domain_loss_is_infeasible_if_a_domain_cannot_hold_a_replica() -> None:
    assert not make(small("domain", "deepseek-ai/DeepSeek-V3", nodes=3, failure_domains=3)).feasible
    assert make(small("node", "deepseek-ai/DeepSeek-V3", nodes=4, failure_domains=4)).feasible


# -- several sites


def test_every_site_with_a_model_has_a_gateway_of_the_class_with_its_workloads() -> None:
    """The H100 stand at a second site: what needs them is called there, what runs in the cloud from the first."""
    data = copy(budget=None)
    first = data["sites"][0]
    second = {**first, "name": "ber1", "kube_context": "ber1", "pools": first["pools"][:1]}
    second["network"] = {"cidrs": ["10.44.0.0/16"]}
    first["pools"] = first["pools"][1:]
    data["sites"].insert(1, second)
    plan = make(data, OFFERS)
    assert endpoint_of(plan, "restricted").site == "ber1"
    assert {(gateway.class_, gateway.site) for gateway in plan.gateways} >= {
        ("restricted", "ber1"),
        ("internal", "fra1"),
    }
    platform = render("regulated-hybrid", read(data), plan)
    callers = {
        gateway["name"]: [workload["name"] for workload in gateway["workloads"]]
        for gateway in platform["gateways"]
    }
    assert callers["restricted-ber1"] == ["transaction-narratives"]
    assert callers["internal-fra1"] == ["policy-assistant"]
    assert sum(len(caller) for caller in callers.values()) == len(data["workloads"])
    # Moved away from its model the gateway cannot reach it.
    moved = [gateway.model_copy(update={"site": "fra1"}) for gateway in plan.gateways]
    with pytest.raises(
        IsthmusError, match=r"is at ber1, and the class has no gateway there|no private link joins"
    ):
        plan_rules.check(plan.model_copy(update={"gateways": moved}), read(data))


# -- CPU and memory of nodes


def test_a_node_with_too_few_cpus_holds_no_replica_and_the_plan_gives_the_reason() -> None:
    data = small("none", cpus_per_node=8, gpus_per_node=8)
    plan = planner.make_plan(read(data), EVERYTHING, TODAY)
    assert not plan.plan.feasible
    reason = "a node has 8 CPUs, which leaves 0 for a replica on 1 of 8 GPUs, and vLLM needs 3"
    assert any(reason in text for texts in plan.rejected.values() for text in texts)


def test_a_rendered_platform_states_the_cpus_and_memory_of_its_nodes() -> None:
    data = copy()
    for pool in data["sites"][0]["pools"]:
        pool["cpus_per_node"] = 6 * pool["gpus_per_node"]
    requirements = read(data)
    plan = planner.make_plan(requirements, OFFERS, TODAY).plan
    platform = render("regulated-hybrid", requirements, plan)
    for endpoint in platform["endpoints"]:
        if endpoint["target"] == "onprem-vllm":
            gpus = endpoint["tensor_parallel"]
            profile = model_profiles.size_of(endpoint["model"]).cpus(gpus)
            assert ("cpu" in endpoint) == (6 * gpus - 2 < profile)
            assert int(endpoint.get("cpu", profile)) + 1 <= 6 * gpus
            assert "memory" not in endpoint, "its profile says it"
    assert {pool["cpus_per_node"] // pool["gpus_per_node"] for pool in platform["pools"]} == {6}


def test_stating_enough_cpus_and_memory_does_not_change_the_plan() -> None:
    endpoints = make(small("none", cpus_per_node=192, memory_gib_per_node=2048)).endpoints
    assert endpoints == make(small("none")).endpoints


def test_an_aws_instance_with_fewer_cpus_than_vllm_processes_gives_a_warning() -> None:
    plan = make(cloud())
    narrow = endpoint_of(plan, "confidential").model_copy(
        update={"instance_type": "g6.xlarge", "tensor_parallel": 1}
    )
    (warning,) = planner.profile_warnings(narrow)
    assert "a replica has 2 CPUs of g6.xlarge, and vLLM runs 3 processes" in warning
    assert planner.profile_warnings(narrow.model_copy(update={"instance_type": "g6.4xlarge"})) == []
    (warning,) = planner.profile_warnings(
        narrow.model_copy(update={"model": "bank/own", "target": "onprem-vllm"})
    )
    assert "no profile is known for the model `bank/own`" in warning


def test_replicas_are_rendered_with_their_share_of_a_node_if_it_is_below_the_profile() -> None:
    from isthmus.contracts.requirements import node_share

    data = small("none", cpus_per_node=48, memory_gib_per_node=512, gpus_per_node=8, nodes=2)
    requirements = read(data)
    (pool,) = requirements.sites[0].pools  # type: ignore[union-attr]
    model = "meta-llama/Llama-3.1-8B-Instruct"
    node_requests = node_share.node_requests(pool, model, 1)
    assert node_requests == {"cpu": "4", "memory": "53Gi"}
    # Eight such replicas with their sidecars, of a core and a GiB each, leave the system its own.
    assert 8 * (int(node_requests["cpu"]) + 1) <= 48 - 1
    assert 8 * (int(node_requests["memory"][:-2]) + 1) <= 512 * 0.85
    assert node_share.node_requests(pool.model_copy(update={"cpus_per_node": 192}), model, 1) == {
        "memory": "53Gi"
    }
    bare = pool.model_copy(update={"cpus_per_node": None, "memory_gib_per_node": None})
    assert node_share.node_requests(bare, model, 1) == {}


def test_a_node_with_too_little_memory_to_load_the_weights_holds_no_replica() -> None:
    data = small(
        "none",
        id="meta-llama/Llama-3.1-70B-Instruct",
        memory_gib_per_node=64,
        gpus_per_node=4,
        nodes=1,
        failure_domains=1,
    )
    data["sites"][0].pop("maintenance", None)
    plan = planner.make_plan(read(data), EVERYTHING, TODAY)
    assert not plan.plan.feasible
    assert any("too little to load" in text for texts in plan.rejected.values() for text in texts)
