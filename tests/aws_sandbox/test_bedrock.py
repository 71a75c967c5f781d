"""Bedrock beside moto: guardrails and their versions, profiles of workloads, throughput, tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.aws_sandbox.driver import REGION, Client, Refusal, World

ACCOUNT = "123456789012"
MODEL = f"arn:aws:bedrock:{REGION}::foundation-model/amazon.nova-lite-v1:0"
SYSTEM = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/eu.amazon.nova-lite-v1:0"
WORDS = {"wordPolicyConfig": {"wordsConfig": [{"text": "secret"}]}}
BLOCKED = {"blockedInputMessaging": "no", "blockedOutputsMessaging": "no"}
THROUGHPUT = "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput"


@pytest.fixture
def bedrock(world: World) -> Iterator[Any]:
    world.forget()
    yield world.boto("bedrock")
    world.forget()


def guardrail(bedrock: Any, **more: Any) -> dict[str, Any]:
    return bedrock.create_guardrail(**{"name": "internal", **BLOCKED, **WORDS, **more})


# -- guardrails


def test_a_version_stays_as_it_was_when_the_draft_changes(bedrock: Any) -> None:
    created = guardrail(bedrock)
    names = {"guardrailIdentifier": created["guardrailArn"]}
    assert bedrock.create_guardrail_version(**names)["version"] == "1"
    other = {"contentPolicyConfig": {"filtersConfig": [_filter("HATE", "LOW", "LOW")]}}
    bedrock.update_guardrail(**names, name="internal", **BLOCKED, **other)
    first = bedrock.get_guardrail(**names, guardrailVersion="1")
    draft = bedrock.get_guardrail(**names)
    assert first["wordPolicy"] == {"words": [{"text": "secret"}]}
    assert "contentPolicy" not in first
    assert draft["contentPolicy"]["filters"][0]["type"] == "HATE"
    assert "wordPolicy" not in draft, "what an update does not name is gone"


def test_no_number_of_a_version_comes_twice(bedrock: Any) -> None:
    names = {"guardrailIdentifier": guardrail(bedrock)["guardrailId"]}
    assert [bedrock.create_guardrail_version(**names)["version"] for _ in range(2)] == ["1", "2"]
    bedrock.delete_guardrail(**names, guardrailVersion="2")
    assert bedrock.create_guardrail_version(**names)["version"] == "3"
    listed = bedrock.list_guardrails(guardrailIdentifier=names["guardrailIdentifier"])["guardrails"]
    assert [version["version"] for version in listed] == ["DRAFT", "1", "3"]


def test_a_guardrail_goes_with_its_versions(bedrock: Any) -> None:
    created = guardrail(bedrock)
    names = {"guardrailIdentifier": created["guardrailId"]}
    bedrock.create_guardrail_version(**names)
    bedrock.delete_guardrail(**names)
    with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
        bedrock.get_guardrail(**names, guardrailVersion="1")
    with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
        bedrock.list_tags_for_resource(resourceARN=created["guardrailArn"])
    assert bedrock.list_guardrails()["guardrails"] == []


def _filter(kind: str, prompt: str, answer: str) -> dict[str, str]:
    return {"type": kind, "inputStrength": prompt, "outputStrength": answer}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "with space"},
        {"wordPolicyConfig": {}},
        {"contentPolicyConfig": {"filtersConfig": [_filter("PROMPT_ATTACK", "HIGH", "HIGH")]}},
        {"contentPolicyConfig": {"filtersConfig": [_filter("HATRED", "HIGH", "HIGH")]}},
        {"contextualGroundingPolicyConfig": {"filtersConfig": [{"type": "GROUNDING", "threshold": 1.0}]}},
        {"sensitiveInformationPolicyConfig": {"piiEntitiesConfig": [{"type": "EMAILS", "action": "BLOCK"}]}},
        {"blockedInputMessaging": "x" * 501},
        {"crossRegionConfig": {"guardrailProfileIdentifier": "us.guardrail.v1:0"}},
        {
            "contentPolicyConfig": {
                "filtersConfig": [_filter("HATE", "HIGH", "HIGH")],
                "tierConfig": {"tierName": "STANDARD"},
            }
        },
    ],
)
def test_a_guardrail_that_aws_would_refuse_is_refused(bedrock: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(bedrock.exceptions.ValidationException):
        guardrail(bedrock, **wrong)
    assert bedrock.list_guardrails()["guardrails"] == []


def test_two_guardrails_cannot_have_one_name(bedrock: Any) -> None:
    guardrail(bedrock)
    with pytest.raises(bedrock.exceptions.ConflictException):
        guardrail(bedrock)
    second = guardrail(bedrock, name="other")
    with pytest.raises(bedrock.exceptions.ConflictException):
        bedrock.update_guardrail(
            guardrailIdentifier=second["guardrailId"], name="internal", **BLOCKED, **WORDS
        )


def test_a_guardrail_of_another_region_or_account_is_not_found(bedrock: Any) -> None:
    arn = guardrail(bedrock)["guardrailArn"]
    for other in (arn.replace(REGION, "eu-west-1"), arn.replace(ACCOUNT, "999999999999")):
        with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
            bedrock.get_guardrail(guardrailIdentifier=other)


# -- inference profiles


def profile(bedrock: Any, name: str = "chat-payments", source: str = SYSTEM, **more: Any) -> str:
    profile = bedrock.create_inference_profile(
        inferenceProfileName=name, modelSource={"copyFrom": source}, **more
    )
    return profile["inferenceProfileArn"]


def test_a_workload_s_profile_routes_where_its_source_does(bedrock: Any) -> None:
    arn = profile(bedrock)
    assert arn.startswith(f"arn:aws:bedrock:{REGION}:{ACCOUNT}:application-inference-profile/")
    answer = bedrock.get_inference_profile(inferenceProfileIdentifier=arn)
    source = bedrock.get_inference_profile(inferenceProfileIdentifier=SYSTEM)
    assert (answer["type"], source["type"]) == ("APPLICATION", "SYSTEM_DEFINED")
    assert answer["models"] == source["models"]
    short = bedrock.get_inference_profile(inferenceProfileIdentifier=answer["inferenceProfileId"])
    assert short["inferenceProfileArn"] == arn


def test_a_profile_of_one_model_stays_in_the_region(bedrock: Any) -> None:
    arn = profile(bedrock, source=MODEL)
    assert bedrock.get_inference_profile(inferenceProfileIdentifier=arn)["models"] == [{"modelArn": MODEL}]


def test_application_profiles_are_listed_by_their_type_alone(bedrock: Any) -> None:
    arns = {profile(bedrock, name) for name in ("a", "b", "c")}
    pages = bedrock.get_paginator("list_inference_profiles").paginate(
        typeEquals="APPLICATION", PaginationConfig={"PageSize": 2}
    )
    actual = [
        profile["inferenceProfileArn"] for page in pages for profile in page["inferenceProfileSummaries"]
    ]
    assert set(actual) == arns
    assert len(actual) == 3
    for expected in ({}, {"typeEquals": "SYSTEM_DEFINED"}):
        listed = bedrock.list_inference_profiles(**expected)["inferenceProfileSummaries"]
        assert {resource["type"] for resource in listed} == {"SYSTEM_DEFINED"}


@pytest.mark.parametrize(
    "source",
    [
        SYSTEM.replace("eu.", "us."),
        SYSTEM.replace(REGION, "eu-west-1"),
        SYSTEM.replace(ACCOUNT, "999999999999"),
        MODEL.replace(REGION, "eu-west-1"),
        MODEL.replace("nova-lite", "nova-none"),
        "eu.amazon.nova-lite-v1:0",
    ],
)
def test_a_source_that_is_not_there_cannot_be_copied(bedrock: Any, source: str) -> None:
    with pytest.raises(bedrock.exceptions.ValidationException):
        profile(bedrock, source=source)


@pytest.mark.parametrize(
    ("name", "description"), [("two--signs", "x"), ("dot.ted", "x"), ("a", "two--signs"), ("a", "x/y")]
)
def test_a_name_or_description_of_the_wrong_form_is_refused(
    bedrock: Any, name: str, description: str
) -> None:
    with pytest.raises(bedrock.exceptions.ValidationException):
        profile(bedrock, name, description=description)


def test_an_application_profile_is_no_source(bedrock: Any) -> None:
    with pytest.raises(bedrock.exceptions.ValidationException):
        profile(bedrock, "second", source=profile(bedrock))


def test_two_profiles_cannot_have_one_name_and_aws_s_own_cannot_go(bedrock: Any) -> None:
    profile(bedrock)
    with pytest.raises(bedrock.exceptions.ConflictException):
        profile(bedrock)
    with pytest.raises(bedrock.exceptions.ValidationException):
        bedrock.delete_inference_profile(inferenceProfileIdentifier=SYSTEM)


def test_a_program_finds_a_workload_s_profile_too(bedrock: Any, client: Client) -> None:
    token = "aws:bedrock/getInferenceProfile:getInferenceProfile"
    answer = client.invoke(token, inferenceProfileId=profile(bedrock))
    assert answer["type"] == "APPLICATION"
    assert len(answer["models"]) == 4


def test_another_source_makes_the_profile_anew(bedrock: Any, client: Client) -> None:
    token = "aws:bedrock/inferenceProfile:InferenceProfile"
    inputs = client.checked(token, {"name": "chat", "modelSource": {"copyFrom": SYSTEM}})
    id, state = client.create(token, inputs)
    assert state["arn"].endswith(f"/{id}")
    news = client.checked(token, {"name": "chat", "modelSource": {"copyFrom": MODEL}}, inputs)
    difference = client.diff(token, id, state, news)
    assert (list(difference.replaces), difference.deleteBeforeReplace) == (["modelSource"], True)


# -- throughput that is bought ahead


def test_throughput_with_a_commitment_stays_until_its_end(bedrock: Any, client: Client) -> None:
    inputs = {"provisionedModelName": "chat", "modelArn": MODEL, "modelUnits": 1}
    inputs = client.checked(THROUGHPUT, {**inputs, "commitmentDuration": "OneMonth"})
    id, state = client.create(THROUGHPUT, inputs)
    answer = bedrock.get_provisioned_model_throughput(provisionedModelId="chat")
    length = answer["commitmentExpirationTime"] - answer["creationTime"]
    assert 28 <= length.days <= 31
    with pytest.raises(Refusal, match="cannot be deleted before"):
        client.delete(THROUGHPUT, id, state)
    assert client.read(THROUGHPUT, id)[0] == id


@pytest.mark.parametrize("model", ["amazon.nova-none-v1:0", MODEL.replace(REGION, "eu-west-1")])
def test_throughput_of_a_model_that_is_not_there_is_refused(bedrock: Any, model: str) -> None:
    with pytest.raises(bedrock.exceptions.ValidationException):
        bedrock.create_provisioned_model_throughput(provisionedModelName="chat", modelId=model, modelUnits=1)


def test_throughput_is_renamed_and_its_name_is_its_own(bedrock: Any) -> None:
    created = {"modelId": MODEL, "modelUnits": 2}
    bedrock.create_provisioned_model_throughput(provisionedModelName="chat", **created)
    with pytest.raises(bedrock.exceptions.ValidationException):
        bedrock.create_provisioned_model_throughput(provisionedModelName="chat", **created)
    bedrock.update_provisioned_model_throughput(provisionedModelId="chat", desiredProvisionedModelName="b")
    assert bedrock.get_provisioned_model_throughput(provisionedModelId="b")["modelUnits"] == 2


# -- tags


def test_tags_of_moto_s_own_resources_are_moto_s(bedrock: Any, world: World) -> None:
    bucket = world.bucket()
    job = bedrock.create_model_customization_job(
        jobName="tune",
        customModelName="mine",
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/x",
        baseModelIdentifier=MODEL,
        trainingDataConfig={"s3Uri": f"s3://{bucket}/in"},
        outputDataConfig={"s3Uri": f"s3://{bucket}/out"},
        hyperParameters={"epochCount": "1"},
    )["jobArn"]
    bedrock.tag_resource(resourceARN=job, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    bedrock.untag_resource(resourceARN=job, tagKeys=["a"])
    assert bedrock.list_tags_for_resource(resourceARN=job)["tags"] == [{"key": "b", "value": "2"}]


def test_what_is_not_there_has_no_tags(bedrock: Any) -> None:
    none = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:guardrail/none"
    for operation, more in (
        ("list_tags_for_resource", {}),
        ("tag_resource", {"tags": [{"key": "a", "value": "1"}]}),
        ("untag_resource", {"tagKeys": ["a"]}),
    ):
        with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
            getattr(bedrock, operation)(resourceARN=none, **more)
