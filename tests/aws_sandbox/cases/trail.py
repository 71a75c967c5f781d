"""Cases of CloudTrail."""

from __future__ import annotations

from typing import Any

from tests.aws_sandbox.cases.case import Case, Inputs
from tests.aws_sandbox.driver import REGION, World, trust

_ACCOUNT = "123456789012"


def group(world: World) -> str:
    name = world.name("/isthmus/trail")
    world.boto("logs").create_log_group(logGroupName=name)
    return f"arn:aws:logs:{REGION}:{_ACCOUNT}:log-group:{name}:*"


def writer(world: World) -> str:
    role = world.name("trail")
    made = world.boto("iam").create_role(
        RoleName=role, AssumeRolePolicyDocument=trust("cloudtrail.amazonaws.com")
    )
    return made["Role"]["Arn"]


def selector(name: str, **fields: list[str]) -> dict[str, Any]:
    """An advanced selector; `resources_type` is `resources.type`."""
    parts = [{"field": field.replace("_", "."), "equals": values} for field, values in fields.items()]
    return {"name": name, "fieldSelectors": parts}


def _make(world: World) -> Inputs:
    return {
        "name": world.name("trail"),
        "s3BucketName": world.bucket(),
        "s3KeyPrefix": "trail",
        "kmsKeyId": f"arn:aws:kms:{REGION}:{_ACCOUNT}:key/{world.key()}",
        "cloudWatchLogsGroupArn": group(world),
        "cloudWatchLogsRoleArn": writer(world),
        "isMultiRegionTrail": True,
        "isOrganizationTrail": True,
        "enableLogFileValidation": True,
        "advancedEventSelectors": [
            selector("management", eventCategory=["Management"]),
            selector("guardrails", eventCategory=["Data"], resources_type=["AWS::Bedrock::Guardrail"]),
        ],
        "insightSelectors": [{"insightType": "ApiErrorRateInsight"}],
        "tags": {"class": "restricted"},
    }


def _change(world: World, inputs: Inputs) -> Inputs:
    retained = ("name", "s3BucketName", "isMultiRegionTrail", "region")
    return {
        **{name: inputs[name] for name in retained if name in inputs},
        "enableLogging": False,
        "eventSelectors": [{"readWriteType": "WriteOnly", "includeManagementEvents": True}],
        "tags": {"new": "1"},
    }


def _behind(world: World, inputs: Inputs) -> str:
    world.boto("cloudtrail").stop_logging(Name=inputs["name"])
    return "enableLogging"


def _left(world: World, inputs: Inputs) -> bool:
    trails = world.boto("cloudtrail").describe_trails(includeShadowTrails=False)["trailList"]
    return any(trail["Name"] == inputs["name"] for trail in trails)


CASES: dict[str, Case] = {
    "aws:cloudtrail/trail:Trail": Case(
        make=_make,
        change=_change,
        replace=lambda world, inputs: {**inputs, "name": world.name("other")},
        behind=_behind,
        left=_left,
    )
}
