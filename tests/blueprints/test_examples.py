"""Each blueprint has requirements that the planner picks it for, and renders what was planned."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from isthmus import blueprints
from isthmus.blueprints import missing_values
from isthmus.blueprints.offers import offers
from isthmus.contracts.plan import rules as plan_rules
from isthmus.contracts.plan.document import Plan
from isthmus.contracts.requirements import document as requirements_of
from isthmus.contracts.requirements.document import Requirements
from isthmus.core.errors import InputError, Refused
from isthmus.planning import planner
from isthmus.reports import plan_page

ROOT = Path(__file__).resolve().parents[2]
PICKED = {
    "examples/bank-overflow": "burst-hybrid",
    "examples/cloud-managed": "cloud-managed",
    "examples/cloud-private": "cloud-private",
    "examples/hosted": "regulated-hybrid",
    "examples/pilot": "pilot",
    "examples/sovereign": "sovereign",
    "stacks/bank-dev": "regulated-hybrid",
}


@functools.cache
def planned(name: str) -> tuple[Requirements, Plan]:
    requirements = requirements_of.load(ROOT / f"{name}.requirements.yaml")
    return requirements, planner.make_plan(requirements, offers(), "2026-11-25").plan


def test_every_blueprint_of_the_catalogue_is_picked_for_an_example():
    assert sorted(set(PICKED.values())) == [blueprint.name for blueprint in blueprints.blueprints()]


@pytest.mark.parametrize(("name", "blueprint"), sorted(PICKED.items()))
def test_an_example_is_planned_for_its_blueprint_and_rendered_by_it(name: str, blueprint: str):
    requirements, plan = planned(name)
    assert (plan.feasible, plan.blueprint) == (True, blueprint)
    plan_rules.check(plan, requirements)
    platform = blueprints.render(blueprint, requirements, plan)
    assert [endpoint["id"] for endpoint in platform["endpoints"]] == [
        endpoint.id for endpoint in plan.endpoints
    ]
    assert {gateway["class"] for gateway in platform["gateways"]} == {
        gateway.class_ for gateway in plan.gateways
    }


def test_the_sovereign_platform_has_nothing_of_a_cloud():
    platform = blueprints.render("sovereign", *planned("examples/sovereign"))
    assert {site["kind"] for site in platform["sites"]} == {"on-prem"}
    assert not {"identities", "networks", "trust", "guardrails", "links"} & set(platform)
    assert not any(gateway.get("identity") for gateway in platform["gateways"])


def test_a_model_on_sagemaker_brings_nothing_of_bedrock():
    requirements, plan = planned("examples/hosted")
    assert [endpoint.target for endpoint in plan.endpoints] == ["onprem-vllm", "sagemaker"]
    platform = blueprints.render("regulated-hybrid", requirements, plan)
    assert not {"guardrails", "invocation_logging"} & set(platform)
    assert platform["networks"][0]["services"] == ["rolesanywhere", "sagemaker.runtime", "s3"]
    assert platform["endpoints"][1]["sagemaker"] == {"instance_type": "ml.g6e.2xlarge"}
    assert platform["links"][0]["classes"] == ["confidential"]


def test_the_cloud_managed_platform_has_nothing_of_a_cluster():
    platform = blueprints.render("cloud-managed", *planned("examples/cloud-managed"))
    assert {site["kind"] for site in platform["sites"]} == {"aws"}
    assert not {"pools", "trust", "links"} & set(platform)
    assert {gateway["runs_on"] for gateway in platform["gateways"]} == {"fargate"}
    assert not any("screening" in gateway for gateway in platform["gateways"]), (
        "no detector is built beside a task"
    )
    assert {identity["assumed_by"] for identity in platform["identities"]} == {"ecs-tasks"}


def test_the_cloud_private_platform_holds_the_answers_that_people_must_see():
    requirements, plan = planned("examples/cloud-private")
    platform = blueprints.render("cloud-private", requirements, plan)
    review_settings = {
        gateway["class"]: gateway["reviews"] for gateway in platform["gateways"] if "reviews" in gateway
    }
    assert review_settings == {
        "confidential": {
            **{"secret": "confidential-reviews", "reviewers_ca": "confidential-reviewers-ca"},
            **{
                "keys_volume": "held-keys-confidential-reviews",
                "gateway_keys_volume": "held-keys-confidential",
            },
        }
    }, "of what nobody asks to see, none; their records lie on the share that is made"
    (cluster,) = platform["clusters"]
    assert "system_nodes" not in cluster, "they are sized from what the platform runs there"
    missing = dict(missing_values.list_missing_values(platform))
    gateway = "gateways[confidential-frankfurt]"
    assert {path for path in missing if path.startswith("gateways")} == {
        *(f"{gateway}.database.{key}" for key in ("host", "address")),
        f"{gateway}.reviews.from_namespaces",
    }
    assert missing[f"{gateway}.database.address"].startswith("10.80.")
    (held_gateway,) = [
        gateway for gateway in platform["gateways"] if gateway["name"] == "confidential-frankfurt"
    ]
    del held_gateway["reviews"]
    path = f"{gateway}.workloads[claim-summaries].reviewed_by"
    assert dict(missing_values.list_missing_values(platform))[path] == "claims-desk", (
        "taken out, somebody else must see to it"
    )


def test_conflicting_review_settings_are_refused_before_a_database_is_required():
    platform = blueprints.render("cloud-private", *planned("examples/cloud-private"))
    (gateway,) = [gateway for gateway in platform["gateways"] if gateway["name"] == "confidential-frankfurt"]
    gateway["workloads"][0]["reviewed_by"] = "claims-desk"
    assert not [
        path for path, _ in missing_values.list_missing_values(platform) if path.startswith("gateways")
    ]


def test_a_blueprint_of_aws_alone_is_for_requirements_without_an_on_prem_site():
    _, plan = planned("examples/pilot")
    (alternative,) = [
        alternative for alternative in plan.alternatives or [] if alternative.blueprint == "cloud-managed"
    ]
    assert alternative.rejected_because == ["it supports AWS sites only, and fra1 is an on-prem site"]


def test_unknown_sagemaker_settings_are_requested():
    platform = blueprints.render("regulated-hybrid", *planned("examples/hosted"))
    with pytest.raises(InputError, match=r"`images\.sagemaker`, e\.g\. `<account>\.dkr\.ecr") as caught:
        missing_values.require(platform, "here")
    assert "`endpoints[confidential-qwen3-8b].weights.uri`, e.g. `s3://weights/qwen3-8b/`" in str(
        caught.value
    )


def test_the_page_of_a_plan_counts_cut_gpus_as_gpus_in_use():
    requirements, plan = planned("examples/sovereign")
    assert "h100-sxm-80gb: 33 of 40 GPUs in use, 1 cut" in plan_page.page(plan, requirements)


def test_a_blueprint_renders_only_its_own_parts():
    with pytest.raises(Refused, match="does not build `overflow`, but workload `policy-assistant` needs it"):
        blueprints.render("regulated-hybrid", *planned("examples/bank-overflow"))
    with pytest.raises(Refused, match="does not build `bedrock`"):
        blueprints.render("sovereign", *planned("stacks/bank-dev"))
    with pytest.raises(Refused, match="is not made for restricted data"):
        blueprints.render("pilot", *planned("stacks/bank-dev"))
