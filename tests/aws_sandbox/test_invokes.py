"""The provider's functions."""

from __future__ import annotations

import json

import pytest

from tests.aws_sandbox.driver import REGION, Client, Refusal

DOCUMENT = "aws:iam/getPolicyDocument:getPolicyDocument"


def test_who_and_where(client: Client) -> None:
    identity = client.invoke("aws:index/getCallerIdentity:getCallerIdentity")
    assert identity["accountId"] == identity["id"] == "123456789012"
    assert identity["arn"].startswith("arn:aws:")
    assert client.invoke("aws:index/getPartition:getPartition")["partition"] == "aws"
    region = client.invoke("aws:index/getRegion:getRegion")
    assert region["region"] == region["name"] == REGION


def test_a_policy_document_is_worded_as_the_real_function_does(client: Client) -> None:
    created = client.invoke(
        DOCUMENT,
        statements=[
            {
                "sid": "Invoke",
                "actions": ["bedrock:InvokeModel"],
                "resources": ["arn:b", "arn:a"],
                "conditions": [
                    {"test": "StringEquals", "variable": "aws:RequestedRegion", "values": ["eu-west-1"]}
                ],
            },
            {
                "effect": "Deny",
                "principals": [{"type": "Service", "identifiers": ["s3.amazonaws.com"]}],
                "notActions": ["s3:GetObject", "s3:PutObject"],
            },
        ],
    )
    document = json.loads(created["json"])
    assert document == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Invoke",
                "Effect": "Allow",
                "Action": "bedrock:InvokeModel",
                "Resource": ["arn:a", "arn:b"],
                "Condition": {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}},
            },
            {
                "Effect": "Deny",
                "Principal": {"Service": "s3.amazonaws.com"},
                "NotAction": ["s3:GetObject", "s3:PutObject"],
            },
        ],
    }
    assert json.loads(created["minifiedJson"]) == document
    assert created["id"] == client.invoke(DOCUMENT, statements=created["statements"])["id"]


def test_a_statement_overrides_the_one_of_its_sid(client: Client) -> None:
    base = json.dumps({"Statement": {"Sid": "A", "Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}})
    created = client.invoke(
        DOCUMENT,
        sourcePolicyDocuments=[base],
        statements=[{"sid": "A", "actions": ["s3:Put*"], "resources": ["*"]}],
    )
    [statement] = json.loads(created["json"])["Statement"]
    assert statement["Action"] == "s3:Put*"


def test_an_inference_profile_names_the_regions_that_it_may_route_to(client: Client) -> None:
    token = "aws:bedrock/getInferenceProfile:getInferenceProfile"
    answer = client.invoke(token, inferenceProfileId="eu.amazon.nova-lite-v1:0")
    regions = {model["modelArn"].split(":")[3] for model in answer["models"]}
    assert regions == {"eu-central-1", "eu-north-1", "eu-west-1", "eu-west-3"}
    with pytest.raises(Refusal, match="does not exist"):
        client.invoke(token, inferenceProfileId="eu.amazon.none-v1:0")


def test_an_unknown_function_names_itself_and_the_list(client: Client) -> None:
    with pytest.raises(Refusal) as refusal:
        client.invoke("aws:index/getRegions:getRegions")
    assert "aws:index/getRegions:getRegions" in str(refusal.value)
    assert "aws:index/getRegion:getRegion" in str(refusal.value)
