"""The role of EC2 Auto Scaling must exist before a cluster's key names it: asked of moto's IAM."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.core import aws_session
from isthmus.core.errors import EnvironmentFault
from stacks.aws_account import account, model_access, service_roles
from tests import private
from tests.blueprints.bank import requirements_and_plan

pytestmark = pytest.mark.whole


@pytest.fixture
def iam(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """IAM of an empty account, reached with the credentials of the environment."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("iam", region_name="eu-central-1")


def ask(**cluster: Any) -> list[str]:
    data = private.data()
    data["clusters"][0].update(cluster)
    platform = CheckedPlatform.model_validate(data)
    return service_roles.check_service_roles(platform.sites[0], platform)


def test_a_missing_service_role_is_reported_with_the_command_that_creates_it(iam: Any) -> None:
    with pytest.raises(EnvironmentFault, match="has no role AWSServiceRoleForAutoScaling") as caught:
        ask()
    assert "aws iam create-service-linked-role --aws-service-name autoscaling.amazonaws.com" in str(
        caught.value
    )
    iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")
    assert ask() == [], "the command of the message must be the fix"


def test_the_role_is_not_asked_for_where_no_key_will_name_it(iam: Any) -> None:
    assert ask(kms_key="arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000") == []


def test_a_deployer_who_may_not_look_is_warned_and_goes_on(iam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        answer: Any = {"Error": {"Code": "AccessDenied", "Message": "not authorized to perform: iam:GetRole"}}
        raise ClientError(answer, "GetRole")

    monkeypatch.setattr(aws_session, "client", lambda *_: SimpleNamespace(get_role=refuse))
    (line,) = ask()
    assert "iam:GetRole" in line
    assert service_roles.CREATE_COMMAND in line


def test_the_account_is_asked_before_anything_is_made_and_a_sandbox_is_not(
    iam: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements, plan = requirements_and_plan()
    plan = plan.model_copy(update={"endpoints": [], "placements": []})
    monkeypatch.setattr(account, "check_network", lambda *_: None)
    monkeypatch.setattr(account, "check_model", lambda *_: None)
    monkeypatch.setattr(model_access.Account, "may_call", lambda *_: [])
    platform = private.platform()
    providers: Any = {"frankfurt": object()}
    account.check(platform, plan, requirements, providers, sandbox=True)
    with pytest.raises(EnvironmentFault, match="AWSServiceRoleForAutoScaling"):
        account.check(platform, plan, requirements, providers)
