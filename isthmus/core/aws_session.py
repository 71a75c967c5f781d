"""Opens boto3 sessions with the credentials of a site's provider, for questions that no Pulumi provider answers.

pulumi-aws takes the credentials where boto3 does (variables, profile, SSO, instance), and assumes the same roles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from isthmus.core.errors import EnvironmentFault

SANDBOX_KEYS = ("sandbox", "sandbox")
"""An access key and its secret that no AWS account accepts."""


def session(
    region: str,
    roles: Iterable[Mapping[str, Any]] = (),
    *,
    why: str,
    profile: str | None = None,
    accounts: Sequence[str] = (),
    keys: tuple[str, str] | None = None,
) -> Any:
    """A boto3 session in `region`, after each of `roles` is assumed in its turn.

    `roles`: as the provider's input `assumeRoles` has them (`roleArn`, `sessionName`, `externalId`).
    `accounts`: account ids; the credentials must belong to one of them. `keys` replace the credentials of the
    environment. `why`: what Isthmus wants to know, as the end of a sentence. Raises `EnvironmentFault` without boto3
    or for credentials of another account, and what botocore raises.
    """
    try:
        import boto3
    except ImportError:
        raise EnvironmentFault(
            f"the Python package boto3 is not installed, so Isthmus cannot ask AWS {why}",
            fix="Install it with `pip install boto3`, then run the same command again",
        ) from None
    key, secret = keys or (None, None)
    aws_session: Any = boto3.Session(key, secret, region_name=region or None, profile_name=profile)
    for role in roles:
        credentials = aws_session.client("sts").assume_role(
            RoleArn=role["roleArn"],
            RoleSessionName=role.get("sessionName") or "isthmus",
            **({"ExternalId": role["externalId"]} if role.get("externalId") else {}),
        )["Credentials"]
        aws_session = boto3.Session(
            credentials["AccessKeyId"],
            credentials["SecretAccessKey"],
            credentials["SessionToken"],
            region or None,
        )
    if accounts and (account := aws_session.client("sts").get_caller_identity()["Account"]) not in accounts:
        raise EnvironmentFault(
            f"the AWS credentials belong to account {account}, but the stack uses account {' or '.join(accounts)}",
            fix=f"Use credentials of the stack's account: Isthmus must ask that account {why}",
        )
    return aws_session


def client(session: Any, service: str, region: str | None = None) -> Any:
    """A boto3 client with short timeouts: 5 s to connect, 20 s for an answer, four attempts."""
    from botocore.config import Config

    quick = Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 4, "mode": "standard"})
    return session.client(service, region_name=region, config=quick)
