"""An encrypted SNS topic to which only named AWS services publish."""

from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.aws.common.keys import administration_statement, rotated_key
from components.aws.common.names import aws_name
from isthmus.core.errors import InputError

MAX_EMAILS = 10
"""Maximum addresses of one notification of AWS Budgets (API reference, as of knowledge, not checked)."""


@dataclass(frozen=True)
class Publisher:
    """An AWS service that may publish to a topic, with its conditions."""

    sid: str
    service: str
    """Its principal, e.g. `cloudwatch.amazonaws.com`."""
    publishing: dict[str, Any] = field(default_factory=dict)
    """Condition on `sns:Publish`."""
    sealing: dict[str, Any] = field(default_factory=dict)
    """Condition on the use of the topic's key."""


@dataclass(frozen=True)
class Topic:
    arn: pulumi.Output[str]
    ready: pulumi.Resource
    """The resource on which publishers depend."""


def topic_name(name: str) -> str:
    """The topic's name, which is known before creation, so that its key's policy can contain it."""
    return aws_name(name, 256)


def sealed_topic(
    name: str,
    display_name: str,
    publishers: list[Publisher],
    *,
    account: pulumi.Input[str],
    partition: pulumi.Input[str],
    tags: dict[str, str],
    parent: pulumi.Resource,
) -> Topic:
    """The topic `topic_name(name)` and its key. `display_name`: the sender that e-mails show."""
    from pulumi_aws import sns

    child = pulumi.ResourceOptions(parent=parent)
    sealed = rotated_key(
        f"{name}-key",
        f"Messages of {name}",
        _key_policy(partition, account, publishers),
        tags,
        child,
        days=7,
    )
    topic = sns.Topic(
        name,
        name=topic_name(name),
        display_name=display_name,
        kms_master_key_id=sealed.arn,
        tags=tags,
        opts=child,
    )
    policy = sns.TopicPolicy(
        f"{name}-policy",
        arn=topic.arn,
        policy=pulumi.Output.json_dumps(_topic_policy(topic.arn, publishers)),
        opts=child,
    )
    return Topic(topic.arn, policy)


def _key_policy(
    partition: pulumi.Input[str], account: pulumi.Input[str], publishers: list[Publisher]
) -> dict[str, Any]:
    """The account administers the key, and publishers encrypt with it."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            administration_statement(partition, account),
            *(
                _conditional(
                    {
                        "Sid": f"{publisher.sid}Seals",
                        "Effect": "Allow",
                        "Principal": {"Service": publisher.service},
                        "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
                        "Resource": "*",
                    },
                    publisher.sealing,
                )
                for publisher in publishers
            ),
        ],
    }


def _topic_policy(topic: pulumi.Output[str], publishers: list[Publisher]) -> dict[str, Any]:
    """Principals of the account are not listed, because their own IAM policies suffice."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sns:Publish",
                "Resource": topic,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
            *(
                _conditional(
                    {
                        "Sid": f"{publisher.sid}Publishes",
                        "Effect": "Allow",
                        "Principal": {"Service": publisher.service},
                        "Action": "sns:Publish",
                        "Resource": topic,
                    },
                    publisher.publishing,
                )
                for publisher in publishers
            ),
        ],
    }


def _conditional(statement: dict[str, Any], condition: dict[str, Any]) -> dict[str, Any]:
    return {**statement, "Condition": condition} if condition else statement


def check_emails(notify: list[str], where: str, message: str) -> list[str]:
    """The addresses without duplicates. Raises `InputError` for invalid or too many, and with `message` for none."""
    for address in notify:
        name, _, host = address.partition("@")
        if not name or "." not in host.strip(".") or any(sign.isspace() for sign in address) or "@" in host:
            raise InputError(
                f"'{address}' is not an e-mail address",
                where=f"{where}.notify",
                fix="Write it like group@example.com",
            )
    emails = sorted(set(notify))
    if not emails:
        raise InputError(message, where=f"{where}.notify", fix="Add the e-mail address of a group to notify")
    if len(emails) > MAX_EMAILS:
        raise InputError(
            f"{len(emails)} addresses are listed, but AWS accepts at most {MAX_EMAILS}",
            where=f"{where}.notify",
            fix="Use the address of a group instead of its members' addresses",
        )
    return emails
