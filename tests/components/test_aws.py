"""What is made on AWS: the translator's role."""

import json
from typing import Any

import pytest

from components import BedrockAccess
from components.aws.bedrock_access import partition
from isthmus.contracts.errors import AnswerIsNo, InputError
from tests.components.conftest import ACCOUNT, Engine

PROFILE = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
MODEL = "anthropic.claude-haiku-4-5-20251001-v1:0"


def access(engine: Engine, sensitivity: str = "internal", **more: Any) -> None:
    model = {
        "id": "haiku",
        "model": MODEL,
        "region": "eu-central-1",
        "inference_profile": PROFILE,
        "destination_regions": ["eu-central-1", "eu-west-1"],
        **more.pop("model", {}),
    }
    engine.deploy(BedrockAccess, "a", {"sensitivity": sensitivity, "models": [model], **more})


def statements(engine: Engine) -> list[dict[str, Any]]:
    return json.loads(engine.only("RolePolicy").inputs["policy"])["Statement"]


def test_a_role_trusts_roles_anywhere_and_nobody_else(engine: Engine) -> None:
    access(engine)
    (trust,) = json.loads(engine.only("Role").inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "rolesanywhere.amazonaws.com"}
    assert set(trust["Action"]) == {"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"}


def test_a_role_may_call_its_profile_and_through_it_the_model_in_each_region(engine: Engine) -> None:
    access(engine)
    profile, model = statements(engine)
    arn = f"arn:aws:bedrock:eu-central-1:{ACCOUNT}:inference-profile/{PROFILE}"
    assert profile["Resource"] == [arn]
    assert model["Resource"] == [
        f"arn:aws:bedrock:{region}::foundation-model/{MODEL}" for region in ("eu-central-1", "eu-west-1")
    ]
    assert model["Condition"] == {"StringEquals": {"bedrock:InferenceProfileArn": arn}}, (
        "the model could be called past its profile"
    )


def test_no_statement_has_a_wildcard(engine: Engine) -> None:
    access(engine)
    for each in statements(engine):
        assert set(each["Action"]) == {"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"}
        assert "*" not in json.dumps(each)


def test_a_model_without_a_profile_is_called_in_its_region(engine: Engine) -> None:
    plain = {"id": "nova", "model": "amazon.nova-lite-v1:0", "region": "eu-central-1"}
    engine.deploy(BedrockAccess, "a", {"sensitivity": "public", "models": [plain]})
    (only,) = statements(engine)
    assert only["Resource"] == ["arn:aws:bedrock:eu-central-1::foundation-model/amazon.nova-lite-v1:0"]


def test_a_permissions_boundary_is_set_where_named(engine: Engine) -> None:
    access(engine, permissions_boundary="arn:aws:iam::1:policy/edge")
    assert engine.only("Role").inputs["permissionsBoundary"] == "arn:aws:iam::1:policy/edge"


def test_no_access_key_stands_in(engine: Engine) -> None:
    access(engine)
    assert {made.kind for made in engine.made} == {"Role", "RolePolicy"}


@pytest.mark.parametrize("sensitivity", ["confidential", "restricted"])
def test_a_class_that_may_not_use_aws_gets_no_role(engine: Engine, sensitivity: str) -> None:
    with pytest.raises(AnswerIsNo):
        access(engine, sensitivity)
    assert not engine.made


def test_a_profile_without_its_regions_and_a_wildcard_are_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="names no destination regions"):
        access(engine, model={"destination_regions": []})
    with pytest.raises(InputError, match="more than one model"):
        access(engine, model={"model": "anthropic.*"})


def test_arns_are_of_the_regions_partition() -> None:
    assert partition("eu-central-1") == "aws"
    assert partition("eusc-de-east-1") == "aws-eusc"
