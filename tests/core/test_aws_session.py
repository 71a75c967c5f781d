"""AWS's SDK with a provider's credentials: which roles are taken, and whose account is refused."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from isthmus.core import aws_session
from isthmus.core.errors import EnvironmentFault


class Sts:
    """Who asks, and which roles were assumed with whose key."""

    def __init__(self) -> None:
        self.assumed: list[tuple[str | None, dict[str, Any]]] = []
        self.key: str | None = None

    def assume_role(self, **request: Any) -> dict[str, Any]:
        self.assumed.append((self.key, request))
        key = f"key{len(self.assumed)}"
        return {"Credentials": {"AccessKeyId": key, "SecretAccessKey": "s", "SessionToken": "t"}}

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": "210987654321"}


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Sts:
    stub = Sts()

    def client(self: boto3.Session, service: str, **_: Any) -> Sts:
        assert service == "sts"
        credentials = self.get_credentials()
        stub.key = credentials.access_key if credentials else None
        return stub

    monkeypatch.setattr(boto3.Session, "client", client)
    return stub


def test_each_role_is_assumed_with_the_credentials_of_the_one_before(sts: Sts) -> None:
    roles = [{"roleArn": "arn:1", "externalId": "seven"}, {"roleArn": "arn:2", "sessionName": "deploy"}]
    session = aws_session.session("eu-central-1", roles, why="a thing", keys=("first", "secret"))
    assert sts.assumed == [
        ("first", {"RoleArn": "arn:1", "RoleSessionName": "isthmus", "ExternalId": "seven"}),
        ("key1", {"RoleArn": "arn:2", "RoleSessionName": "deploy"}),
    ]
    assert session.get_credentials().access_key == "key2"
    assert session.region_name == "eu-central-1"


def test_credentials_of_another_account_are_refused(sts: Sts) -> None:
    message = "the AWS credentials belong to account 210987654321, but the stack uses account"
    with pytest.raises(EnvironmentFault, match=message) as caught:
        aws_session.session("eu-central-1", why="whether it may", accounts=["123456789012"], keys=("a", "b"))
    assert (caught.value.fix or "").endswith("must ask that account whether it may")
    aws_session.session("eu-central-1", why="x", accounts=["1", "210987654321"], keys=("a", "b"))


def test_a_client_has_short_timeouts_and_may_be_of_another_region() -> None:
    session = aws_session.session("eu-central-1", why="x", keys=("a", "b"))
    client = aws_session.client(session, "bedrock", "eu-west-1")
    assert client.meta.region_name == "eu-west-1"
    assert client.meta.config.read_timeout == 20
