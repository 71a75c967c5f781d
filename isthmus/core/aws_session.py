"""AWS's own SDK with the credentials that a site's provider has: for what no provider can be asked.

pulumi-aws takes the credentials where boto3 does (variables, profile, SSO, instance), and assumes the same roles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from isthmus.core.errors import EnvironmentFault

KEYS_OF_THE_SANDBOX = ("sandbox", "sandbox")
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
    `accounts`: numbers; the credentials must be of one of them. `keys` take the place of the surroundings'.
    `why`: what cannot be known without it, ending a sentence. Raises `EnvironmentFault` without boto3 or for
    another account's credentials, and what botocore raises.
    """
    try:
        import boto3
    except ImportError:
        raise EnvironmentFault(
            f"boto3 is not installed, so AWS cannot be asked {why}",
            fix="Install it (`pip install boto3`), then run the same command again",
        ) from None
    key, secret = keys or (None, None)
    made: Any = boto3.Session(key, secret, region_name=region or None, profile_name=profile)
    for role in roles:
        answer = made.client("sts").assume_role(
            RoleArn=role["roleArn"],
            RoleSessionName=role.get("sessionName") or "isthmus",
            **({"ExternalId": role["externalId"]} if role.get("externalId") else {}),
        )["Credentials"]
        made = boto3.Session(
            answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"], region or None
        )
    if accounts and (here := made.client("sts").get_caller_identity()["Account"]) not in accounts:
        raise EnvironmentFault(
            f"the AWS credentials are of account {here}, and the stack's is {' or '.join(accounts)}",
            fix=f"Take the credentials that the stack is built with: another account cannot be asked {why}",
        )
    return made


def client(session: Any, service: str, region: str | None = None) -> Any:
    """A client that gives up soon: 5 s to connect, 20 s for an answer, four attempts."""
    from botocore.config import Config

    quick = Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 4, "mode": "standard"})
    return session.client(service, region_name=region, config=quick)
