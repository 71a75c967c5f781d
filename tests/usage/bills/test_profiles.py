"""Which profile belongs to which workload and endpoint: by file, by state, by tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.core.errors import InputError
from isthmus.usage.bills.profiles import Owner, bedrock_uses, find_profiles, read_profiles
from isthmus.usage.prices import Use
from tests.blueprints import bank
from tests.usage.bills.simulated_month import PROFILES
from tests.usage.bills.test_matching import line

OWNER = Owner("bank", "isthmus/bank-dev")
_, PLAN = bank.requirements_and_plan()
ARN = PROFILES[1].arn
COPY = Use("public-nova-lite", "campaign-copy")
TAGS = {"isthmus_platform": "bank", "isthmus_dev_workload": "campaign-copy", "isthmus_dev_class": "public"}


def state(name: str = "frankfurt-public-public-nova-lite-campaign-copy") -> dict[str, Any]:
    type_ = "aws:bedrock/inferenceProfile:InferenceProfile"
    urn = f"urn:pulumi:bank-dev::isthmus::isthmus:index:BedrockAccess${type_}::{name}"
    outputs = {"arn": ARN, "tags": {"isthmus.dev/workload": "campaign-copy"}}
    return {"resources": [{"urn": urn, "type": type_, "outputs": outputs}]}


def test_the_plan_says_what_calls_bedrock():
    assert bedrock_uses(PLAN) == [Use("internal-claude-haiku-4-5", "policy-assistant"), COPY]


def test_the_state_names_a_profile_by_its_resource_and_tag():
    profiles = find_profiles(PLAN, [], OWNER, state=state())
    assert (profiles.uses, profiles.known_by) == ({ARN: COPY}, {ARN: "state"})
    assert find_profiles(PLAN, [], OWNER, state=state("frankfurt-public-something-else")).uses == {}


def test_tags_name_a_profile_that_fits_one_endpoint():
    profiles = find_profiles(PLAN, [line(tags=TAGS)], OWNER)
    assert (profiles.uses, profiles.known_by) == ({ARN: COPY}, {ARN: "tags"})


@pytest.mark.parametrize(
    "tags",
    [
        {**TAGS, "isthmus_platform": "insurer"},
        {**TAGS, "isthmus_stack": "isthmus/bank-prod"},
        {"isthmus_platform": "bank"},
        {},
    ],
)
def test_tags_of_others_or_without_a_workload_name_no_profile(tags: dict[str, str]):
    assert find_profiles(PLAN, [line(tags=tags)], OWNER).uses == {}


def test_a_workload_that_the_plan_has_at_no_such_endpoint_is_unclear():
    profiles = find_profiles(PLAN, [line(tags={**TAGS, "isthmus_dev_class": "internal"})], OWNER)
    assert profiles.uses == {}
    assert profiles.unclear == {ARN: "the plan has no `campaign-copy` on Bedrock"}


def test_a_workload_at_two_endpoints_of_its_class_is_unclear():
    second = PLAN.endpoints[-1].model_copy(
        update={"id": "public-second", "target": "bedrock", "class_": "public"}
    )
    placement = next(entry for entry in PLAN.placements if entry.workload == "campaign-copy")
    placements = [*PLAN.placements, placement.model_copy(update={"endpoint": "public-second"})]
    plan = PLAN.model_copy(update={"endpoints": [*PLAN.endpoints, second], "placements": placements})
    profiles = find_profiles(plan, [line(tags=TAGS)], OWNER)
    assert profiles.uses == {}
    assert profiles.unclear == {ARN: "its tags fit several endpoints (public-nova-lite, public-second)"}


def test_a_file_decides_over_state_and_tags():
    other = Use("another-endpoint", "campaign-copy")
    profiles = find_profiles(PLAN, [line(tags=TAGS)], OWNER, state=state(), stated={ARN: other})
    assert (profiles.uses, profiles.known_by) == ({ARN: other}, {ARN: "file"})


def test_a_file_of_profiles_is_read(tmp_path: Path):
    file = tmp_path / "profiles.yaml"
    file.write_text(f"profiles:\n  {ARN}: {{workload: campaign-copy, endpoint: public-nova-lite}}\n")
    assert read_profiles(file) == {ARN: COPY}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("other: 1\n", "the file has no `profiles`"),
        (
            "profiles:\n  nova: {workload: a, endpoint: b}\n",
            "`nova` is not the ARN of an application inference profile",
        ),
        (f"profiles:\n  {ARN}: {{workload: a}}\n", "needs exactly `workload` and `endpoint`"),
    ],
)
def test_a_wrong_file_of_profiles_is_refused(text: str, message: str, tmp_path: Path):
    file = tmp_path / "profiles.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_profiles(file)
