"""A stack's platform: files that agree, overrides that are understood, boundaries that hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus import catalogue
from isthmus.catalogue import missing
from isthmus.contracts.errors import AnswerIsNo, InputError
from tests.catalogue.bank import STACK, STACKS, overrides, plan_data, platform, requirements_data, write


def test_the_banks_stack_is_a_platform():
    built = platform()
    assert {gateway.class_ for gateway in built.gateways} == {
        "public",
        "internal",
        "confidential",
        "restricted",
    }
    assert sum(endpoint.gpus for endpoint in built.endpoints) == 14
    assert {pool.product for pool in built.pools} == {"NVIDIA-H100-80GB-HBM3", "NVIDIA-L40S"}


def test_a_plan_from_other_requirements_is_refused_with_what_mends_it(tmp_path: Path):
    data = requirements_data()
    data["budget"] = {"monthly_usd": 1}
    write(tmp_path, data, plan_data(), sealed=False)
    with pytest.raises(InputError, match=r"made from other requirements.*requirements_sha256: [0-9a-f]{64}"):
        platform(tmp_path)


def test_restricted_work_on_aws_is_refused_even_when_the_plan_is_written_by_hand(tmp_path: Path):
    plan = plan_data()
    moved = plan["endpoints"][2]
    plan["endpoints"][0] = {
        **moved,
        "id": "restricted-llama-70b",
        "class": "restricted",
    }
    write(tmp_path, requirements_data(), plan)
    with pytest.raises(AnswerIsNo, match="restricted work may not run on bedrock"):
        platform(tmp_path)


def test_every_missing_override_is_named_at_once_with_an_example():
    with pytest.raises(InputError) as caught:
        catalogue.platform(STACKS, STACK, {})
    text = str(caught.value)
    wanted = (
        "images.edge",
        "images.translator",
        "images.vllm",
        "images.registries",
        "issuer.name",
        "monitoring.namespace",
        "endpoints[restricted-llama-70b].weights.uri",
        "endpoints[restricted-llama-70b].weights.digest",
        "endpoints[confidential-llama-8b].weights.uri",
        "audit[fra1].endpoint",
        "audit[fra1].bucket",
        "images.credential_helper",
        "trust[frankfurt].ca_certificates",
        "trust[frankfurt].issuer.name",
        "budgets[internal-frankfurt].monthly_usd",
        "budgets[campaign-copy].monthly_usd",
        "contacts.security",
        "contacts.cost",
    )
    for path in wanted:
        assert f"`{path}`, e.g. `" in text, path
    assert "\n" not in text
    assert caught.value.exit_code == 2


def test_machines_whose_gpus_are_cut_must_be_named():
    pool = {"name": "h100", "mig": [{"class": "internal", "profile": "3g.40gb", "gpus": 1}]}
    with pytest.raises(InputError, match=r"`pools\[h100\]\.node_names`, e\.g\. `\[gpu-node-1"):
        missing.require({"pools": [pool]}, "overrides")
    with pytest.raises(InputError) as caught:
        missing.require({"pools": [{**pool, "node_names": ["a"]}, {"name": "l40s"}]}, "overrides")
    assert "node_names" not in str(caught.value)


def test_secrets_with_certificates_make_an_issuer_needless():
    given = overrides()
    del given["issuer"]
    given["gateways"] = [
        {"name": f"{each}-fra1", "certificate_secret": "own"}
        for each in ("public", "internal", "confidential", "restricted")
    ]
    for endpoint in given["endpoints"]:
        endpoint["certificate_secret"] = "own"
    assert catalogue.platform(STACKS, STACK, given).issuer is None


def test_a_misspelt_override_is_named_with_its_path_and_the_nearest_key():
    with pytest.raises(InputError, match=r"isthmus:overrides\.imagess.*Did you mean `images`"):
        platform(imagess={"edge": "x"})


def test_an_override_of_a_part_that_is_not_there_is_not_taken_for_a_new_one():
    with pytest.raises(InputError, match=r"no `restricted-lama-70b`.*Did you mean `restricted-llama-70b`"):
        platform(endpoints=[{"id": "restricted-lama-70b", "replicas": 2}])


def test_an_override_cannot_hand_a_workload_to_another_classs_gateway():
    stolen = {"name": "transaction-narratives", "endpoint": "internal-haiku"}
    with pytest.raises(AnswerIsNo, match="transaction-narratives is restricted, and this gateway internal"):
        platform(gateways=[{"name": "internal-fra1", "workloads": [stolen]}])


def test_an_override_cannot_loosen_a_residency():
    loose = {"name": "kyc-extraction", "residency": []}
    with pytest.raises(AnswerIsNo, match="the residency is none here and eu in the requirements"):
        platform(gateways=[{"name": "confidential-fra1", "workloads": [loose]}])


def test_an_override_cannot_lower_the_impact_that_review_hangs_on():
    with pytest.raises(AnswerIsNo, match="the impact is low here and material"):
        platform(
            gateways=[
                {"name": "confidential-fra1", "workloads": [{"name": "kyc-extraction", "impact": "low"}]}
            ]
        )


def test_an_override_cannot_move_a_site_to_another_jurisdiction():
    with pytest.raises(AnswerIsNo, match="on-prem, fr here and on-prem, de in the requirements"):
        platform(sites=[{"name": "fra1", "jurisdiction": "fr"}])


def test_an_override_cannot_shorten_what_the_organisation_made_longer(tmp_path: Path):
    data = requirements_data()
    data["handling"] = {"restricted": {"records_months_min": 60}, "public": {"records_months_min": 24}}
    write(tmp_path, data, plan_data())
    assert {s.name: s.retention_days for s in platform(tmp_path).audit}["frankfurt"] == 731
    with pytest.raises(AnswerIsNo, match="kept at least 731 days, and these 400"):
        platform(tmp_path, audit=[{"name": "frankfurt", "retention_days": 400}])


def test_a_workload_that_an_override_drops_is_missed():
    with pytest.raises(InputError, match="no gateway serves workload `transaction-narratives`"):
        platform(gateways=[{"name": "restricted-fra1", "workloads": []}])


def test_an_unknown_blueprint_in_a_plan_is_answered_with_the_nearest_name(tmp_path: Path):
    write(tmp_path, requirements_data(), {**plan_data(), "blueprint": "regulated-hibrid"})
    with pytest.raises(InputError, match="Did you mean `regulated-hybrid`"):
        platform(tmp_path)


def test_one_replica_more_changes_that_endpoint_and_nothing_else(tmp_path: Path):
    plan = plan_data()
    plan["endpoints"][1].update(replicas=7, replicas_by_domain={"fra1-a": 4, "fra1-b": 3}, gpus=7)
    write(tmp_path, requirements_data(), plan)
    before, after = platform().model_dump(), platform(tmp_path).model_dump()
    before["endpoints"][1].update(replicas=7, gpus=7)
    assert after == before
