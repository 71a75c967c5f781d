"""Rendering: the same bytes twice, general over plans, and nothing that a string can break."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus import blueprints
from isthmus.blueprints import rendering, template_filters
from isthmus.contracts.plan.document import Plan
from isthmus.contracts.platform.model.screening import ENGLISH_MODEL
from isthmus.contracts.reference import handling
from isthmus.contracts.requirements.document import Requirements
from isthmus.core import yaml_files
from isthmus.core.errors import InputError, Refused
from tests.blueprints.bank import plan_data, requirements_and_plan, requirements_data, write
from tests.blueprints.test_catalogue import HEADER, shelf

NAME = "regulated-hybrid"
HOSTILE = [
    'a "quoted" name',
    "it's",
    "line one\nline two",
    "x: y\n- z",
    "{{ 7 * 7 }}{% for x in y %}",
    "# no comment",
    "}], injected: true",
    "\u2028\u0085\ufeff\x7f\x00",
    "off",
    "!!python/object:x",
    "😀 \\ \\u0000",
]


def test_an_error_in_a_part_names_the_part_and_its_line(tmp_path: Path):
    folder = shelf(tmp_path, HEADER + 'isthmus: v1\n{% include "own.yaml.j2" %}\n')
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "own.yaml.j2").write_text("a: 1\nb: {{ nothing }}\n")
    requirements, plan = requirements_and_plan()
    public = plan.model_copy(
        update={"endpoints": [endpoint for endpoint in plan.endpoints if endpoint.class_ == "public"]}
    )
    with pytest.raises(InputError, match="'nothing' is undefined") as error:
        blueprints.render("tiny", requirements, public, folder)
    assert str(error.value.where) == f"{tmp_path / 'parts' / 'own.yaml.j2'}:2"


def test_a_blueprint_in_another_folder_may_include_the_shared_parts(tmp_path: Path):
    folder = shelf(tmp_path, HEADER + '{% include "head.yaml.j2" %}\n')
    requirements, plan = requirements_and_plan()
    public = plan.model_copy(
        update={"endpoints": [endpoint for endpoint in plan.endpoints if endpoint.class_ == "public"]}
    )
    assert blueprints.render("tiny", requirements, public, folder)["blueprint"] == "tiny"


def test_the_same_input_renders_to_the_same_bytes():
    blueprint = blueprints.show(NAME)
    first, second = (
        rendering.render_text(blueprint, *requirements_and_plan()),
        rendering.render_text(blueprint, *requirements_and_plan()),
    )
    assert first == second


@functools.cache
def as_it_is() -> tuple[Requirements, Plan, dict[str, Any]]:
    """The bank's files, and what they render to."""
    return *requirements_and_plan(), blueprints.render(NAME, *requirements_and_plan())


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_the_requirements_can_break_the_platform(text: str):
    requirements, plan, before = copy.deepcopy(as_it_is())
    site = requirements.sites[0].model_copy(update={"kube_context": text})
    changed = requirements.model_copy(update={"sites": [site, *requirements.sites[1:]]})
    rendered = blueprints.render(NAME, changed, plan)
    assert rendered["sites"][0].pop("kube_context") == text
    before["sites"][0].pop("kube_context")
    assert rendered == before, "the text changed more than the value that it is"


@given(st.recursive(st.text() | st.booleans() | st.integers(), lambda inner: st.lists(inner, max_size=3)))
def test_template_output_reads_back_the_same(value: object):
    assert yaml_files.loads(f"key: {template_filters.quoted(value)}\nother: 1\n").data == {
        "key": value,
        "other": 1,
    }


def test_a_name_that_a_template_does_not_have_is_an_error_with_its_line(tmp_path: Path):
    shelf(
        tmp_path,
        HEADER.replace("[public]", "[public, internal, confidential, restricted]")
        + "a: 1\nb: {{ nobody }}\n",
    )
    with pytest.raises(InputError, match=r"blueprint\.yaml\.j2:13: .*'nobody' is undefined"):
        blueprints.render("tiny", *requirements_and_plan(), tmp_path)


def test_a_template_cannot_reach_beyond_its_values(tmp_path: Path):
    body = "a: {{ plan.__class__.__mro__ }}\n"
    shelf(tmp_path, HEADER.replace("[public]", "[public, internal, confidential, restricted]") + body)
    with pytest.raises(InputError, match="unsafe"):
        blueprints.render("tiny", *requirements_and_plan(), tmp_path)


def test_a_blueprint_refuses_a_class_that_it_is_not_made_for(tmp_path: Path):
    shelf(tmp_path, HEADER + "a: 1\n")
    with pytest.raises(Refused, match="not made for restricted data"):
        blueprints.render("tiny", *requirements_and_plan(), tmp_path)


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        ({"target": "sagemaker"}, "sagemaker"),
        ({"mig_profile": "3g.40gb"}, "mig"),
        ({"nodes_per_replica": 2}, "several-nodes"),
    ],
)
def test_a_blueprint_refuses_what_it_does_not_build(tmp_path: Path, change: dict[str, Any], needed: str):
    shelf(tmp_path, HEADER.replace("[public]", "[public, internal, confidential, restricted]") + "a: 1\n")
    requirements, plan = requirements_and_plan()
    changed = plan.endpoints[0].model_copy(update=change)
    with pytest.raises(Refused, match=f"does not build `{needed}`.*`{changed.id}` needs it"):
        blueprints.render(
            "tiny",
            requirements,
            plan.model_copy(update={"endpoints": [changed, *plan.endpoints[1:]]}),
            tmp_path,
        )


def test_a_class_has_an_identity_only_where_it_has_an_endpoint_in_aws():
    rendered = blueprints.render(NAME, *requirements_and_plan())
    assert {identity["class"] for identity in rendered["identities"]} == {"public", "internal"}
    behind = {gateway["class"]: gateway.get("identity") for gateway in rendered["gateways"]}
    assert behind == {
        "restricted": None,
        "confidential": None,
        "internal": "internal-frankfurt",
        "public": "public-frankfurt",
    }


def _screened(rendered: dict[str, Any]) -> dict[str, Any]:
    return {
        gateway["class"]: gateway["screening"] for gateway in rendered["gateways"] if "screening" in gateway
    }


def test_patterns_screen_answers_and_the_images_model_screens_english_that_leaves_the_site(tmp_path: Path):
    assert _screened(blueprints.render(NAME, *requirements_and_plan())) == {
        "public": {},
        "internal": {"models": [ENGLISH_MODEL]},
    }
    data = requirements_data()
    data["handling"] = {
        "confidential": {"redacted": [*handling.handling_of("confidential").redacted, "secrets-in-outputs"]}
    }
    write(tmp_path, data, plan_data())
    assert {*_screened(blueprints.render(NAME, *requirements_and_plan(tmp_path)))} == {
        "public",
        "internal",
        "confidential",
    }
    requirements, plan = requirements_and_plan()
    away = {
        endpoint.id
        for endpoint in plan.endpoints
        if endpoint.class_ == "internal" and endpoint.site != "fra1"
    }
    assert away
    home = plan.model_copy(
        update={"placements": [placement for placement in plan.placements if placement.endpoint not in away]}
    )
    assert _screened(blueprints.render(NAME, requirements, home))["internal"] == {}, "nothing leaves"


def test_a_pool_lists_the_gpus_to_slice_for_its_endpoints():
    requirements, plan = requirements_and_plan()
    on_slices = {"mig_profile": "3g.40gb", "tensor_parallel": 1, "replicas": 4, "gpus": 4}
    sliced = plan.endpoints[0].model_copy(
        update={**on_slices, "replicas_by_domain": {"fra1-a": 2, "fra1-b": 2}}
    )
    changed = plan.model_copy(update={"endpoints": [sliced, *plan.endpoints[1:]]})
    rendered = blueprints.render(NAME, requirements, changed)
    assert [pool["mig"] for pool in rendered["pools"]] == [
        [{"class": "restricted", "profile": "3g.40gb", "gpus": 2}],
        [],
    ]
    assert rendered["endpoints"][0]["mig_profile"] == "3g.40gb"


def test_no_blueprint_asks_for_a_monitor_that_a_member_account_may_not_make():
    assert blueprints.render(NAME, *requirements_and_plan())["anomalies"] == {"mode": "off"}


def test_a_translator_may_reach_the_vpc_and_nothing_else():
    rendered = blueprints.render(NAME, *requirements_and_plan())
    destinations = {gateway["class"]: gateway.get("destinations") for gateway in rendered["gateways"]}
    assert destinations["internal"] == [{"name": "frankfurt", "cidr": "10.80.0.0/16", "port": 443}]
    assert destinations["restricted"] is None


def test_a_store_keeps_records_as_long_as_the_strictest_class_at_its_site():
    stores = {store["site"]: store for store in blueprints.render(NAME, *requirements_and_plan())["audit"]}
    assert stores["fra1"]["retention_days"] == 1827, "restricted, amlr: five years with two leap days"
    assert stores["frankfurt"]["retention_days"] == 366, "internal: twelve months"
    assert (stores["fra1"]["mode"], stores["frankfurt"]["mode"]) == ("existing", "manage")


def test_records_that_must_be_kept_and_erased_in_one_store_are_refused(tmp_path: Path):
    data = requirements_data()
    data["workloads"][1]["regimes"] = ["hipaa"]
    write(tmp_path, data, plan_data())
    with pytest.raises(Refused, match=r"must be kept for 72 months.*erased after 60"):
        blueprints.render(NAME, *requirements_and_plan(tmp_path))


def test_a_plan_with_everything_on_prem_needs_no_aws(tmp_path: Path):
    data, plan = requirements_data(), plan_data()
    data["workloads"] = data["workloads"][:2]
    plan["endpoints"], plan["placements"] = plan["endpoints"][:2], plan["placements"][:2]
    plan["gateways"] = plan["gateways"][:2]
    write(tmp_path, data, plan)
    rendered = blueprints.render(NAME, *requirements_and_plan(tmp_path))
    assert [site["name"] for site in rendered["sites"]] == ["fra1"]
    assert "identities" not in rendered
    assert all("destinations" not in gateway for gateway in rendered["gateways"])


def test_two_sites_have_pools_gateways_and_stores_of_their_own(tmp_path: Path):
    data, plan = requirements_data(), plan_data()
    second = copy.deepcopy(data["sites"][0])
    second.update(name="ber1", kube_context="ber1")
    second["network"] = {"cidrs": ["10.41.0.0/16"]}
    second["pools"] = second["pools"][1:]
    data["sites"].append(second)
    moved = next(endpoint for endpoint in plan["endpoints"] if endpoint["class"] == "confidential")
    moved.update(site="ber1", gpu="l40s-48gb", tensor_parallel=1, replicas=6, gpus=6)
    moved["replicas_by_domain"] = {"ber1-a": 3, "ber1-b": 3}
    next(gateway for gateway in plan["gateways"] if gateway["class"] == "confidential")["site"] = "ber1"
    write(tmp_path, data, plan)
    rendered = blueprints.render(NAME, *requirements_and_plan(tmp_path))
    assert [pool["name"] for pool in rendered["pools"]] == [
        "fra1-h100-sxm-80gb",
        "fra1-l40s-48gb",
        "ber1-l40s-48gb",
    ]
    pools = {endpoint["class"]: endpoint.get("pool") for endpoint in rendered["endpoints"]}
    assert (pools["restricted"], pools["confidential"]) == ("fra1-h100-sxm-80gb", "ber1-l40s-48gb")
    assert [store["site"] for store in rendered["audit"]] == ["fra1", "frankfurt", "ber1"]
    assert [gateway["name"] for gateway in rendered["gateways"]][1] == "confidential-ber1"


def test_a_translator_at_a_site_without_a_vpc_cidr_is_let_out_to_nothing(tmp_path: Path):
    data = requirements_data()
    del data["sites"][1]["vpc_cidr"]
    write(tmp_path, data, plan_data())
    rendered = blueprints.render(NAME, *requirements_and_plan(tmp_path))
    assert not any("destinations" in gateway for gateway in rendered["gateways"])
    assert rendered["networks"][0]["cidr"] is None, "the rules of platforms refuse it (test_trial.py)"


@pytest.mark.parametrize(("months", "days"), [(0, 0), (6, 184), (12, 366), (60, 1827), (72, 2192)])
def test_a_number_of_months_becomes_the_largest_number_of_days(months: int, days: int):
    assert template_filters.days(months) == days


def test_an_endpoint_has_the_task_of_the_workloads_that_it_serves():
    requirements, plan = requirements_and_plan()
    endpoint = next(endpoint for endpoint in plan.endpoints if endpoint.target == "onprem-vllm")
    served = [placement.workload for placement in plan.placements if placement.endpoint == endpoint.id]
    changed = requirements.model_copy(
        update={
            "workloads": [
                workload.model_copy(update={"task": "embedding"}) if workload.name in served else workload
                for workload in requirements.workloads
            ]
        }
    )
    tasks = {
        endpoint["id"]: endpoint.get("task")
        for endpoint in blueprints.render(NAME, changed, plan)["endpoints"]
    }
    assert tasks.pop(endpoint.id) == "embedding"
    assert set(tasks.values()) == {None}, "chat is what an endpoint is asked for otherwise"
