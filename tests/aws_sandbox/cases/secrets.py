"""Cases of Secrets Manager."""

from __future__ import annotations

from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.driver import World, document


def _secret(world: World) -> str:
    return world.boto("secretsmanager").create_secret(Name=world.name("secret"))["ARN"]


def _other_hand(world: World, inputs: Inputs) -> str:
    world.boto("secretsmanager").update_secret(SecretId=inputs["arn"], Description="by another hand")
    return "description"


def _left(world: World, inputs: Inputs) -> bool:
    answer = found(lambda: world.boto("secretsmanager").describe_secret(SecretId=inputs["arn"]))
    return bool(answer) and "DeletedDate" not in answer


def _another_value(world: World, inputs: Inputs) -> str:
    world.boto("secretsmanager").put_secret_value(SecretId=inputs["secretArn"], SecretString="another")
    return "versionStages"


def _labelled(world: World, inputs: Inputs) -> bool:
    answer = found(lambda: world.boto("secretsmanager").describe_secret(SecretId=inputs["secretId"]))
    return "bank" in str((answer or {}).get("VersionIdsToStages"))


CASES: dict[str, Case] = {
    "aws:secretsmanager/secret:Secret": Case(
        make=lambda world: {
            "name": world.name("bgp"),
            "description": "BGP key of the link",
            "policy": document("secretsmanager:GetSecretValue"),
            "recoveryWindowInDays": 7,
            "tags": {"class": "confidential"},
        },
        change=lambda world, inputs: {
            **{name: value for name, value in inputs.items() if name != "policy"},
            "description": "BGP key",
            "kmsKeyId": world.key(),
            "tags": {"class": "internal"},
        },
        replace=lambda world, inputs: {**inputs, "name": world.name("other")},
        behind=_other_hand,
        left=_left,
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": Case(
        make=lambda world: {
            "secretId": _secret(world),
            "secretString": "s3cret",
            "versionStages": ["AWSCURRENT", "bank"],
        },
        change=changed(versionStages=["AWSCURRENT", "bank", "new"]),
        replace=changed(secretString="other"),
        behind=_another_value,
        left=_labelled,
    ),
}
