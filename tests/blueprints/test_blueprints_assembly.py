"""A stack's platform: files that agree, overrides that are understood, boundaries that hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.blueprints import missing_values
from isthmus.contracts.platform.lookups.usage import named_workloads
from isthmus.core.errors import InputError, Refused
from tests.blueprints import by_hand
from tests.blueprints.bank import (
    assembled,
    overrides,
    plan_data,
    platform,
    requirements_and_plan,
    requirements_data,
    serving,
    write,
)

RESTRICTED, CONFIDENTIAL, INTERNAL = (
    serving(workload).id for workload in ("transaction-narratives", "kyc-extraction", "policy-assistant")
)


def test_the_banks_stack_is_a_platform():
    built = platform()
    assert {gateway.class_ for gateway in built.gateways} == {
        "public",
        "internal",
        "confidential",
        "restricted",
    }
    assert [(endpoint.id, endpoint.gpus) for endpoint in built.endpoints] == [
        (endpoint.id, endpoint.gpus) for endpoint in requirements_and_plan()[1].endpoints
    ]
    # A pool that serves nothing is one too: its GPUs are queued for as well.
    assert {pool.product for pool in built.pools} == {"NVIDIA-H100-80GB-HBM3", "NVIDIA-L40S"}


def test_a_handwritten_plan_is_built_with_four_gpus_for_each_replica_on_both_pools(tmp_path: Path):
    write(tmp_path, requirements_data(), by_hand.plan_data())
    built = assembled(by_hand.overrides(), tmp_path)
    shapes = {
        endpoint.id: (endpoint.pool, endpoint.tensor_parallel, endpoint.replicas, endpoint.survive)
        for endpoint in built.endpoints
    }
    assert shapes["restricted-llama-70b"] == ("fra1-h100-sxm-80gb", 4, 2, "domain")
    assert shapes["confidential-llama-8b"] == ("fra1-l40s-48gb", 1, 6, "node")


def test_a_plan_from_other_requirements_is_refused_with_a_fix(tmp_path: Path):
    data = requirements_data()
    data["budget"] = {"monthly_usd": 1}
    write(tmp_path, data, plan_data(), sealed=False)
    with pytest.raises(
        InputError,
        match=r"the requirements have changed since the plan was made.*`isthmus plan \S+ -o \S+plan\.yaml`",
    ):
        platform(tmp_path)


def test_restricted_work_on_aws_is_refused_even_when_the_plan_is_written_by_hand(tmp_path: Path):
    plan = plan_data()
    endpoints = {endpoint["id"]: endpoint for endpoint in plan["endpoints"]}
    endpoints[RESTRICTED].update({**endpoints[INTERNAL], "id": RESTRICTED, "class": "restricted"})
    write(tmp_path, requirements_data(), plan)
    with pytest.raises(Refused, match="restricted work may not run on bedrock"):
        platform(tmp_path)


def test_one_error_lists_every_missing_override_with_an_example():
    with pytest.raises(InputError) as caught:
        assembled({})
    text = str(caught.value)
    expected = (
        "images.registry",
        "issuer.name",
        "monitoring.namespace",
        f"endpoints[{RESTRICTED}].weights.uri",
        f"endpoints[{RESTRICTED}].weights.digest",
        f"endpoints[{CONFIDENTIAL}].weights.uri",
        "audit[fra1].endpoint",
        "audit[fra1].bucket",
        "trust[frankfurt].ca_certificates",
        "trust[frankfurt].issuer.name",
        "budgets[internal-frankfurt].monthly_usd",
        "budgets[campaign-copy].monthly_usd",
        "contacts.security",
        "contacts.cost",
    )
    for path in expected:
        assert f"`{path}`, e.g. `" in text, path
    assert "\n" not in text
    assert caught.value.exit_code == 2


def test_machines_with_mig_slices_must_be_named():
    pool = {"name": "h100", "mig": [{"class": "internal", "profile": "3g.40gb", "gpus": 1}]}
    with pytest.raises(InputError, match=r"`pools\[h100\]\.node_names`, e\.g\. `\[gpu-node-1"):
        missing_values.require({"pools": [pool]}, "overrides")
    with pytest.raises(InputError) as caught:
        missing_values.require({"pools": [{**pool, "node_names": ["a"]}, {"name": "l40s"}]}, "overrides")
    assert "node_names" not in str(caught.value)


def test_certificate_secrets_replace_an_issuer():
    overrides_given = overrides()
    del overrides_given["issuer"]
    overrides_given["gateways"] += [{"name": "public-fra1"}] if len(overrides_given["gateways"]) < 4 else []
    for gateway in overrides_given["gateways"]:
        gateway["certificate_secret"] = "own"
        if "reviews" in gateway:
            gateway["reviews"]["certificate_secret"] = "own"
            for part in (
                "desk",
                "domains",
                "notifier",
            ):  # a desk's sign-on has certificates of the issuer only
                gateway["reviews"].pop(part, None)
    for endpoint in overrides_given["endpoints"]:
        endpoint["certificate_secret"] = "own"
    assert assembled(overrides_given).issuer is None


def test_a_misspelt_override_is_named_with_its_path_and_the_nearest_key():
    with pytest.raises(InputError, match=r"isthmus:overrides\.imagess.*Did you mean `images`"):
        platform(imagess={"edge": "x"})


def test_an_override_of_an_unknown_part_is_refused():
    misspelt = RESTRICTED.replace("restricted", "restrictd")
    with pytest.raises(InputError, match=rf"no `{misspelt}`.*Did you mean `{RESTRICTED}`"):
        platform(endpoints=[{"id": misspelt, "replicas": 2}])


def test_an_override_cannot_move_a_workload_to_a_gateway_of_another_class():
    stolen = {"name": "transaction-narratives", "endpoint": INTERNAL}
    with pytest.raises(Refused, match="transaction-narratives is restricted, but this gateway is internal"):
        platform(gateways=[{"name": "internal-fra1", "workloads": [stolen]}])


def test_an_override_cannot_loosen_a_residency():
    loose = {"name": "kyc-extraction", "residency": []}
    with pytest.raises(Refused, match="the residency is none here and eu in the requirements"):
        platform(gateways=[{"name": "confidential-fra1", "workloads": [loose]}])


def test_an_override_cannot_lower_the_impact_that_requires_review():
    with pytest.raises(Refused, match="the impact is low here and material"):
        platform(
            gateways=[
                {"name": "confidential-fra1", "workloads": [{"name": "kyc-extraction", "impact": "low"}]}
            ]
        )


def test_an_override_removes_an_interface_but_cannot_add_one(tmp_path: Path):
    added = {"name": "kyc-extraction", "interfaces": ["completions"]}
    with pytest.raises(
        Refused, match="the list of interfaces is completions here and responses in the requirements"
    ):
        platform(gateways=[{"name": "confidential-fra1", "workloads": [added]}])
    data = requirements_data()
    next(w for w in data["workloads"] if w["name"] == "kyc-extraction")["interfaces"] = ["completions"]
    write(tmp_path, data, plan_data())
    for change, expected in (({}, ["completions"]), ({"interfaces": []}, [])):
        changed = {"name": "confidential-fra1", "workloads": [{"name": "kyc-extraction", **change}]}
        merged = platform(tmp_path, gateways=[changed])
        served = [workload for gateway in merged.gateways for workload in gateway.workloads]
        assert [w.interfaces for w in served if w.name == "kyc-extraction"] == [expected]


def test_an_override_cannot_move_a_site_to_another_jurisdiction():
    with pytest.raises(Refused, match="on-prem, fr here and on-prem, de in the requirements"):
        platform(sites=[{"name": "fra1", "jurisdiction": "fr"}])


def test_an_override_cannot_shorten_the_organisations_retention(tmp_path: Path):
    data = requirements_data()
    data["handling"] = {"restricted": {"records_months_min": 60}, "public": {"records_months_min": 24}}
    write(tmp_path, data, plan_data())
    assert {s.name: s.retention_days for s in platform(tmp_path).audit}["frankfurt"] == 731
    with pytest.raises(Refused, match="must be kept for 731 days, but are kept for 400"):
        platform(tmp_path, audit=[{"name": "frankfurt", "retention_days": 400}])


def test_additional_redactions_of_the_organisation_are_applied(tmp_path: Path):
    data = requirements_data()
    own_redactions = ["secrets-in-outputs"]
    data["handling"] = {"public": {"redacted": [*own_redactions, "prompts-leaving-site"]}}
    write(tmp_path, data, plan_data())
    out_of_the_box = platform(tmp_path).gateways
    assert [
        model.language
        for gateway in out_of_the_box
        if gateway.name == "public-fra1" and gateway.screening is not None
        for model in gateway.screening.models
    ] == ["en"]
    with pytest.raises(InputError, match=r"`gateways\[public-fra1\]\.screening\.models`"):
        platform(tmp_path, gateways=[{"name": "public-fra1", "screening": {"models": []}}])
    models = next(gateway for gateway in overrides()["gateways"] if gateway["name"] == "internal-fra1")[
        "screening"
    ]
    public = {"name": "public-fra1", "screening": {"models": models["models"]}}
    built = platform(tmp_path, gateways=[public])
    assert {gateway.class_: gateway.redacted for gateway in built.gateways if gateway.redacted} == {
        "public": ["prompts-leaving-site"]
    }
    with pytest.raises(Refused, match="the requirements redact prompts-leaving-site of class public"):
        platform(tmp_path, gateways=[{**public, "redacted": []}])


def test_an_organisation_that_names_nobody_in_the_usage_is_followed(tmp_path: Path):
    data = requirements_data()
    data["handling"] = {"confidential": {"usage_by_person": False}}
    write(tmp_path, data, plan_data())
    stated = {
        "host": "usage.fra1.bank.example",
        "address": "10.40.0.31",
        "secret": "usage",
        "store_secret": "records-reader",
    }
    names = ("confidential-fra1", "internal-fra1")
    gateways: list[dict[str, Any]] = [{"name": name, "usage": {"ledger": stated}} for name in names]
    named = {
        gateway.class_: named_workloads(gateway) for gateway in platform(tmp_path, gateways=gateways).gateways
    }
    assert (named["confidential"], named["internal"]) == ([], ["policy-assistant"])
    gateways[0]["usage"]["by_person"] = True
    with pytest.raises(Refused, match="the requirements name nobody in the usage of class confidential"):
        platform(tmp_path, gateways=gateways)


def test_an_override_that_drops_a_workload_is_refused():
    with pytest.raises(InputError, match="no gateway serves workload `transaction-narratives`"):
        platform(gateways=[{"name": "restricted-fra1", "workloads": []}])


def test_an_unknown_blueprint_in_a_plan_is_refused_with_the_nearest_name(tmp_path: Path):
    write(tmp_path, requirements_data(), {**plan_data(), "blueprint": "regulated-hibrid"})
    with pytest.raises(InputError, match="Did you mean `regulated-hybrid`"):
        platform(tmp_path)


def test_an_additional_replica_changes_only_its_endpoint(tmp_path: Path):
    plan = by_hand.plan_data()
    write(tmp_path, requirements_data(), plan)
    before = assembled(by_hand.overrides(), tmp_path).model_dump()
    plan["endpoints"][1].update(replicas=7, replicas_by_domain={"fra1-a": 4, "fra1-b": 3}, gpus=7)
    write(tmp_path, requirements_data(), plan)
    after = assembled(by_hand.overrides(), tmp_path).model_dump()
    before["endpoints"][1].update(replicas=7, gpus=7)
    assert after == before


def test_an_override_of_one_replica_more_changes_that_endpoint_and_nothing_else():
    endpoint = serving("kyc-extraction")
    count, gpus = (endpoint.replicas or 0) + 1, endpoint.gpus + (endpoint.tensor_parallel or 0)
    after = platform(endpoints=[{"id": endpoint.id, "replicas": count, "gpus": gpus}]).model_dump()
    before = platform().model_dump()
    next(candidate for candidate in before["endpoints"] if candidate["id"] == endpoint.id).update(
        replicas=count, gpus=gpus
    )
    assert after == before
