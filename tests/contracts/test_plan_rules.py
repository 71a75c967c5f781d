"""A plan must follow its requirements, even if it is written by hand: one test for each rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.plan import capacity_rules
from isthmus.contracts.plan import document as plan_document
from isthmus.contracts.plan import rules as plan_rules
from isthmus.contracts.requirements import document as requirements_document
from isthmus.core import yaml_documents, yaml_files
from isthmus.core.errors import FieldError, InputError, Refused
from tests.contracts import bank
from tests.contracts.bank import HAIKU, NOVA, REQUIREMENTS

ROOT = Path(__file__).parents[2]
Change = Callable[[dict[str, Any]], object]


def refused(kind: type[Exception], change: Change, text: str = REQUIREMENTS) -> str:
    data = bank.plan_data()
    change(data)
    with pytest.raises(kind) as caught:
        bank.check(data, bank.requirements(text))
    assert type(caught.value) is kind
    return str(caught.value)


def endpoint(data: dict[str, Any], index: int) -> dict[str, Any]:
    return data["endpoints"][index]


def bedrock(class_: str) -> dict[str, Any]:
    return {
        "class": class_,
        "site": "frankfurt",
        "target": "bedrock",
        "model": HAIKU,
        "precision": "api",
        "inference_profile": f"eu.{HAIKU}",
        "gpu": None,
        "gpus": 0,
    }


def raised(workload: str, survive: str) -> dict[str, Any]:
    """The `availability` of a plan that raised what one workload survives."""
    entry = {"workload": workload, "goal": 0.999, "expected": 0.9995, "survive": survive, "limited_by": []}
    return {"workloads": [entry], "failure_modes": [], "assumptions": []}


def test_a_raised_survive_binds_the_plan_like_that_of_the_requirements():
    def in_one_domain(data: dict[str, Any]) -> None:
        endpoint(data, 1).update(replicas_by_domain={"fra1-a": 3, "fra1-b": 0}, replicas=3, gpus=3)

    data = bank.plan_data()
    in_one_domain(data)
    bank.check(data, bank.requirements(REQUIREMENTS))  # `survive: node` of the requirements holds
    message = refused(
        InputError,
        lambda data: (in_one_domain(data), data.update(availability=raised("kyc-extraction", "domain"))),
    )
    assert "must survive the loss of a domain, but its replicas are in fewer than two" in message


def test_a_plan_never_lowers_what_the_requirements_must_survive():
    plan = plan_document.Plan.model_validate(
        bank.plan_data() | {"availability": raised("kyc-extraction", "none")}
    )
    assert plan.survive_of("kyc-extraction", "node") == "node"
    assert plan.survive_of("kyc-extraction", "none") == "none"
    assert plan.survive_of("transaction-narratives", "domain") == "domain"


def test_the_plan_of_the_test_bank_passes():
    bank.check(bank.plan_data())


def test_the_plan_of_the_bank_dev_stack_passes():
    stated_requirements = requirements_document.load(ROOT / "stacks" / "bank-dev.requirements.yaml")
    plan_rules.check(plan_document.load(ROOT / "stacks" / "bank-dev.plan.yaml"), stated_requirements)


def test_a_plan_from_other_requirements_is_refused_with_the_fix(tmp_path: Path):
    path = tmp_path / "bank.plan.yaml"
    yaml_files.dump(bank.plan_data(), "", path)
    stated_requirements = bank.requirements(REQUIREMENTS.replace("peak_rps: 3.0", "peak_rps: 4.0"))
    with pytest.raises(InputError) as caught:
        plan_rules.check(plan_document.load(path), stated_requirements)
    assert "3168df5a5d3d…, of the file: fbd49802024b…)" in caught.value.what
    assert f"`isthmus plan {tmp_path}/bank.requirements.yaml -o {path}`" in caught.value.fix
    assert caught.value.where == f"{path}:2 requirements_sha256"


def test_restricted_work_on_aws_is_refused_even_when_written_by_hand():
    message = refused(Refused, lambda d: endpoint(d, 0).update(bedrock("restricted")))
    assert "restricted work may not run on bedrock" in message


def test_a_plan_that_calls_a_restricted_workload_internal_is_refused():
    def relabel(data: dict[str, Any]) -> None:
        data["placements"][0].update(endpoint="internal-haiku", sensitivity="internal")

    assert "restricted work may not run on bedrock" in refused(Refused, relabel)


def test_confidential_work_on_bedrock_needs_an_exception_in_the_requirements():
    def move(data: dict[str, Any]) -> None:
        endpoint(data, 1).clear()
        endpoint(data, 1).update(bedrock("confidential"), id="confidential-llama-8b")

    assert "confidential work may run on bedrock by a recorded exception only," in refused(Refused, move)
    data = bank.plan_data()
    move(data)
    exception = "{workload: kyc-extraction, target: bedrock, who: CISO, reason: pilot, until: '2999-01-01'}"
    bank.check(data, bank.requirements(REQUIREMENTS + f"exceptions: [{exception}]\n"))


def test_an_organisations_stricter_handling_binds_the_plan():
    text = REQUIREMENTS.replace(
        "name: bank\n", "name: bank\nhandling: {internal: {targets: [onprem-vllm]}}\n"
    )
    assert "internal work may not run on bedrock" in refused(Refused, lambda d: None, text)


def test_an_endpoint_that_two_classes_share_is_refused():
    message = refused(Refused, lambda d: d["placements"][1].update(endpoint="restricted-llama-70b"))
    assert "workload `kyc-extraction` of class confidential is on endpoint" in message


def test_a_target_that_the_site_does_not_allow_is_refused():
    text = REQUIREMENTS.replace("allow: [bedrock, sagemaker, eks]", "allow: [eks]")
    assert "does not allow bedrock; it allows eks" in refused(Refused, lambda d: None, text)


def test_a_profile_that_can_leave_the_residency_is_refused():
    text = REQUIREMENTS.replace(
        "sensitivity: internal\n    impact: low\n    residency: [eu]",
        "sensitivity: internal\n    impact: low\n    residency: [de]",
    )
    message = refused(Refused, lambda d: None, text)
    assert "policy-assistant` could reach eu-north-1 in `se`, outside its residency (de)" in message


def test_a_gateway_outside_the_residency_is_refused():
    text = REQUIREMENTS.replace("jurisdiction: de\n    kube", "jurisdiction: ch\n    kube")
    assert "outside its residency (eu)" in refused(Refused, lambda d: None, text)


def test_a_global_profile_is_refused():
    change: Change = lambda d: endpoint(d, 2).update(inference_profile=f"global.{HAIKU}")  # noqa: E731
    assert "every commercial region" in refused(Refused, change)


def test_an_overflow_that_the_workload_does_not_permit_is_refused():
    def overflow(data: dict[str, Any]) -> None:
        data["placements"][3]["share"] = 0.8
        extra = {**data["placements"][3], "role": "overflow", "share": 0.2}
        data["placements"].append(extra)

    assert "does not allow overflow" in refused(Refused, overflow)


def test_a_score_below_the_floor_is_refused():
    def small(data: dict[str, Any]) -> None:
        endpoint(data, 0).update(model="meta-llama/Llama-3.1-8B-Instruct", precision="bf16")

    assert "scores 0.61" in refused(Refused, small)


def test_an_infeasible_plan_is_not_built():
    message = refused(Refused, lambda d: d.update(feasible=False, conflicts=["too few GPUs"]))
    assert "too few GPUs" in message


def test_a_restricted_gateway_off_prem_is_refused():
    assert "the restricted gateway is at frankfurt, which is not an on-prem site" in refused(
        Refused, lambda d: d["gateways"][3].update(site="frankfurt")
    )


def test_confidential_work_on_aws_needs_a_private_link():
    text = REQUIREMENTS[: REQUIREMENTS.index("links:")]
    assert "no private link" in refused(Refused, lambda d: d["gateways"][2].update(site="frankfurt"), text)


def three(data: dict[str, Any]) -> None:
    endpoint(data, 0).update(
        tensor_parallel=5, replicas=3, gpus=15, replicas_by_domain={"fra1-a": 2, "fra1-b": 1}
    )


def slices(data: dict[str, Any], by_domain: dict[str, int] | None = None, **change: Any) -> None:
    """The first endpoint, which must outlive a domain, on slices of H100s."""
    sliced = {"tensor_parallel": 1, "replicas": 4, "gpus": 4, "mig_profile": "3g.40gb"}
    endpoint(data, 0).update(
        {**sliced, "replicas_by_domain": by_domain or {"fra1-a": 2, "fra1-b": 2}, **change}
    )


def test_mig_slices_are_not_counted_as_whole_gpus():
    data = bank.plan_data()
    replicas = 2 * 14  # of 16 GPUs
    slices(data, {"fra1-a": 14, "fra1-b": 14}, replicas=replicas, gpus=replicas)
    bank.check(data)
    stated_requirements = bank.requirements()
    plan = yaml_files.parse(plan_document.Plan, yaml_documents.Document(data, "plan"))
    pool = capacity_rules.pool_of(plan.endpoints[0], stated_requirements)
    assert pool is not None
    assert [cut.gpus for cut in capacity_rules.cut_gpus(plan, stated_requirements, "fra1", pool)] == [14]


WRONG: list[tuple[str, Change]] = [
    ("has no MIG profile `2g.10gb`", lambda d: slices(d, mig_profile="2g.10gb")),
    (
        "tensor_parallel is 2, but a replica on MIG slices uses exactly one",
        lambda d: slices(d, tensor_parallel=2, gpus=8),
    ),
    (
        "restricted-llama-70b must survive the loss of a domain, so it needs",
        lambda d: slices(d, {"fra1-a": 3, "fra1-b": 1}),
    ),
    (
        "(18 GPUs of 16 usable in nodes of 8, 18 of them cut)",
        lambda d: slices(d, {"fra1-a": 18, "fra1-b": 18}, replicas=36, gpus=36),
    ),
    (
        "in domain fra1-a do not fit",
        lambda d: slices(d, {"fra1-a": 18, "fra1-b": 2}, replicas=20, gpus=20),
    ),
    ("has no primary placement", lambda d: d["placements"].pop()),
    (
        "Did you mean `restricted-llama-70b`",
        lambda d: d["placements"][0].update(endpoint="restricted-lama-70b"),
    ),
    ("Did you mean `kyc-extraction`", lambda d: d["placements"][1].update(workload="kyc-extractio")),
    ("there is no site `fra`", lambda d: endpoint(d, 0).update(site="fra")),
    ("sum to 0.5, not 1", lambda d: d["placements"][0].update(share=0.5)),
    ("no workload uses endpoint `idle`", lambda d: d["endpoints"].append({**endpoint(d, 3), "id": "idle"})),
    (
        "`public-nova-lite` appears twice in endpoints (endpoints[3] and endpoints[4])",
        lambda d: d["endpoints"].append(endpoint(d, 3)),
    ),
    (
        "workload `kyc-extraction` is internal in the plan, but confidential",
        lambda d: d["placements"][1].update(sensitivity="internal"),
    ),
    ("no pool of `h200-sxm-141gb`", lambda d: endpoint(d, 1).update(gpu="h200-sxm-141gb")),
    ("16 GPUs in one node", lambda d: endpoint(d, 0).update(tensor_parallel=16, gpus=32)),
    (
        "nodes_per_replica is 3, but the pool has 2 nodes",
        lambda d: endpoint(d, 0).update(nodes_per_replica=3, gpus=24),
    ),
    ("= 4 × 1 × 2 = 8", lambda d: endpoint(d, 0).update(gpus=9)),
    (
        "replicas_by_domain sums to 3, but replicas is 2",
        lambda d: endpoint(d, 0).update(replicas_by_domain={"fra1-a": 3}),
    ),
    ("`fra1-c` is not a failure domain", lambda d: endpoint(d, 0).update(replicas_by_domain={"fra1-c": 2})),
    ("in fewer than two", lambda d: endpoint(d, 0).update(replicas_by_domain={"fra1-a": 2})),
    (
        "a workload on `restricted-llama-70b` must survive the loss of a",
        lambda d: endpoint(d, 0).update(replicas=1, gpus=4, replicas_by_domain={"fra1-a": 1}),
    ),
    ("do not fit pool fra1-h100-sxm-80gb (15 GPUs of 16", three),
    (
        "in domain fra1-a do not fit",
        lambda d: endpoint(d, 1).update(replicas_by_domain={"fra1-a": 5, "fra1-b": 1}),
    ),
    ("the pool of l40s-48gb does not allow MIG", lambda d: endpoint(d, 1).update(mig_profile="1g.10gb")),
    (
        "endpoint restricted-llama-70b on onprem-vllm has no tensor_parallel",
        lambda d: endpoint(d, 0).update(tensor_parallel=None),
    ),
    ("has no score", lambda d: endpoint(d, 0).update(precision="int4")),
    ("no candidate of workload", lambda d: endpoint(d, 0).update(model="Qwen/Qwen3-32B")),
    ("needs a context of 16384", lambda d: endpoint(d, 0).update(max_model_len=4096)),
    (
        "workload `kyc-extraction` needs adapter kyc-fields of rank 16, which",
        lambda d: endpoint(d, 1).update(adapters=[]),
    ),
    (
        "the inference profile `eu.amazon.nova-lite-v1:0` does not call model",
        lambda d: endpoint(d, 2).update(inference_profile=f"eu.{NOVA}"),
    ),
    (
        "the regions of inference profile `us.anthropic.claude-haiku-4-5-202",
        lambda d: endpoint(d, 2).update(inference_profile=f"us.{HAIKU}"),
    ),
    (
        "endpoint internal-haiku is on bedrock, which needs no GPUs, but has",
        lambda d: endpoint(d, 2).update(gpus=4),
    ),
    (
        "endpoint internal-haiku is in eu-west-1, but its site frankfurt is in",
        lambda d: endpoint(d, 2).update(region="eu-west-1"),
    ),
    ("class restricted has workloads, but no gateway", lambda d: d["gateways"].pop()),
    ("there are two gateways for class public at fra1", lambda d: d["gateways"].append(d["gateways"][0])),
]


@pytest.mark.parametrize(("message", "change"), WRONG)
def test_a_plan_that_contradicts_itself_is_invalid_input(message: str, change: Change):
    assert message in refused(InputError, change)


def test_reserved_gpus_and_spare_nodes_are_not_available_to_a_plan():
    reserved = REQUIREMENTS.replace("gpus_per_node: 4,", "gpus_per_node: 4, reserved_gpus: 3,")
    assert "6 GPUs of 5 usable" in refused(InputError, lambda d: None, reserved)
    spare = REQUIREMENTS.replace(
        "network: {cidrs", "maintenance: {spare_nodes_per_pool: 1}\n    network: {cidrs"
    )
    assert "with 1 spare node(s) away" in refused(InputError, lambda d: None, spare)


def test_pool_and_zone_names_are_built_from_site_gpu_and_number():
    assert plan_document.pool_name("fra1", "l40s-48gb") == "fra1-l40s-48gb"
    assert [plan_document.zone_name("fra1", n) for n in (0, 1, 25, 26)] == [
        "fra1-a",
        "fra1-b",
        "fra1-z",
        "fra1-aa",
    ]


def test_a_workload_enters_at_the_gateway_of_its_endpoints_site():
    data = bank.plan_data()
    placement = next(entry for entry in data["placements"] if entry["role"] == "primary")
    served = next(entry for entry in data["endpoints"] if entry["id"] == placement["endpoint"])
    plan = yaml_files.parse(plan_document.Plan, yaml_documents.Document(data, "bank.plan.yaml"))
    near, far = (
        plan_document.PlannedGateway.model_validate({"class": served["class"], "site": site, "host": site})
        for site in (served["site"], "elsewhere")
    )
    workload = placement["workload"]
    for gateways in ([near, far], [far, near]):
        assert plan.model_copy(update={"gateways": gateways}).gateway_of(workload) == near
    assert plan.model_copy(update={"gateways": [far]}).gateway_of(workload) == far
    assert plan.model_copy(update={"gateways": []}).gateway_of(workload) is None


def test_each_node_of_a_replica_over_several_nodes_needs_room():
    text = REQUIREMENTS.replace("{gpu: h100-sxm-80gb, nodes: 2", "{gpu: h100-sxm-80gb, nodes: 4")

    def over_two_nodes(replicas: dict[str, int]) -> Change:
        count = sum(replicas.values())
        fields = {"tensor_parallel": 5, "nodes_per_replica": 2, "replicas": count, "gpus": 10 * count}
        return lambda data: endpoint(data, 0).update(fields, replicas_by_domain=replicas)

    fits = bank.plan_data()
    over_two_nodes({"fra1-a": 1, "fra1-b": 1})(fits)
    bank.check(fits, bank.requirements(text))
    message = refused(InputError, over_two_nodes({"fra1-a": 2, "fra1-b": 1}), text)
    assert "do not fit pool fra1-h100-sxm-80gb (30 GPUs of 32" in message


def test_only_an_endpoint_on_bedrock_has_an_inference_profile_and_one_of_its_model():
    def check_profile(index: int, profile: str | None) -> None:
        data = bank.plan_data()
        endpoint(data, index)["inference_profile"] = profile
        plan = yaml_files.parse(plan_document.Plan, yaml_documents.Document(data, "bank.plan.yaml"))
        plan_rules.inference_profiles_match_models(plan, bank.requirements())

    check_profile(0, None)
    check_profile(2, f"eu.{HAIKU}")
    with pytest.raises(FieldError, match="does not call model"):
        check_profile(2, f"eu.{NOVA}")
    with pytest.raises(FieldError, match="on onprem-vllm, which does not support inference profiles"):
        check_profile(0, f"eu.{bank.plan_data()['endpoints'][0]['model']}")
