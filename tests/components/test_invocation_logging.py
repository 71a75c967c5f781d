"""Bedrock's log of calls."""

import json
from typing import Any

import pytest

from components import InvocationLogging
from components.aws.common.names import aws_name
from isthmus.core.errors import InputError
from tests.components.conftest import ACCOUNT, Engine
from tests.components.policies import allowed

GROUP = "arn:aws:cloudwatch/logGroup:::l-logs"


def logging(engine: Engine, **more: Any) -> None:
    arguments = {
        "name": "frankfurt",
        "region": "eu-central-1",
        "mode": "manage",
        "text": False,
        "retention_days": 400,
    }
    engine.deploy(InvocationLogging, "l", {**arguments, **more})


def settings(engine: Engine) -> dict[str, Any]:
    return engine.only("InvocationLoggingConfiguration").inputs["loggingConfig"]


@pytest.mark.parametrize("text", [True, False])
def test_content_is_logged_only_if_stated(engine: Engine, text: bool) -> None:
    logging(engine, text=text)
    logging_settings = settings(engine)
    assert logging_settings["textDataDeliveryEnabled"] is text
    for kind in ("image", "embedding", "video"):
        assert logging_settings[f"{kind}DataDeliveryEnabled"] is False
    assert "s3Config" not in logging_settings


def test_calls_go_to_a_log_group_of_its_own_key_and_time(engine: Engine) -> None:
    logging(engine, retention_days=366)
    group = engine.only("LogGroup")
    assert settings(engine)["cloudwatchConfig"]["roleArn"] == "arn:aws:iam/role:::l-role"
    assert group.inputs["retentionInDays"] == 400, "CloudWatch Logs knows no 366"
    assert group.inputs["kmsKeyId"] == "arn:aws:kms/key:::l-log-key"
    assert engine.only("Key").inputs["enableKeyRotation"] is True


def test_records_and_their_key_stay_when_the_stack_goes(engine: Engine) -> None:
    logging(engine)
    assert engine.only("LogGroup").retained
    assert engine.only("Key").retained
    assert not engine.only("Role").retained
    assert engine.outputs["retained"] == [GROUP, "arn:aws:kms/key:::l-log-key"]


def test_only_bedrock_of_this_account_and_region_writes_by_the_role(engine: Engine) -> None:
    logging(engine)
    trust = json.loads(engine.only("Role").inputs["assumeRolePolicy"])
    assert trust["Statement"][0]["Principal"] == {"Service": "bedrock.amazonaws.com"}
    source = f"arn:aws:bedrock:eu-central-1:{ACCOUNT}:x"
    assert allowed(trust, "sts:AssumeRole", aws_SourceAccount=ACCOUNT, aws_SourceArn=source)
    assert not allowed(trust, "sts:AssumeRole", aws_SourceAccount="2", aws_SourceArn=source)
    elsewhere = source.replace("central", "west")
    assert not allowed(trust, "sts:AssumeRole", aws_SourceAccount=ACCOUNT, aws_SourceArn=elsewhere)
    assert not allowed(trust, "sts:AssumeRole")


def test_the_role_writes_to_bedrocks_stream_and_its_boundary_allows_no_more(engine: Engine) -> None:
    logging(engine)
    assert engine.only("RolePolicy").inputs["name"] == aws_name("l-policy", 128)
    stream = f"{GROUP}:log-stream:aws/bedrock/modelinvocations"
    for kind in ("RolePolicy", "Policy"):
        policy = json.loads(engine.only(kind).inputs["policy"])
        assert allowed(policy, "logs:PutLogEvents", stream)
        assert not allowed(policy, "logs:PutLogEvents", f"{GROUP}:log-stream:other")
        assert not allowed(policy, "logs:DeleteLogGroup", GROUP)
    assert engine.only("Role").inputs["permissionsBoundary"] == "arn:aws:iam/policy:::l-boundary"


def test_a_boundary_that_is_given_bounds_the_role(engine: Engine) -> None:
    logging(engine, permissions_boundary="arn:aws:iam::1:policy/edge")
    assert engine.only("Role").inputs["permissionsBoundary"] == "arn:aws:iam::1:policy/edge"
    assert not engine.all("Policy")


def test_bedrock_logging_is_configured_after_the_role_policy(engine: Engine) -> None:
    logging(engine)
    invocation_logging_configuration = engine.only("InvocationLoggingConfiguration")
    assert "l-policy" in invocation_logging_configuration.depends_on
    assert invocation_logging_configuration.inputs["region"] == "eu-central-1"


def test_all_taggable_resources_are_tagged(engine: Engine) -> None:
    logging(engine, tags={"team": "ml"})
    tagged = {resource.kind for resource in engine.made if resource.inputs.get("tags") == {"team": "ml"}}
    assert tagged == {"Key", "LogGroup", "Role", "Policy"}


@pytest.mark.parametrize("mode", ["existing", "off"])
def test_a_log_that_others_keep_is_not_touched(engine: Engine, mode: str) -> None:
    logging(engine, mode=mode)
    assert not engine.made
    assert (engine.outputs["log_group"], engine.outputs["retained"]) == ("", [])


@pytest.mark.parametrize(
    ("more", "match"), [({"retention_days": 0}, "0 is not a retention period"), ({"mode": "on"}, "not known")]
)
def test_a_wrong_setting_is_named(engine: Engine, more: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        logging(engine, **more)
    assert not engine.all("InvocationLoggingConfiguration")
