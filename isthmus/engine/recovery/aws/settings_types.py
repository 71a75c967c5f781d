"""The AWS types that are settings of another thing: set again they are the same, unless their name was made up."""

from __future__ import annotations

import os

from isthmus.engine.project.aws_account import Aws
from isthmus.engine.recovery.aws.lookup import Lookup, by_name, setting
from isthmus.engine.state.interrupted_creations import Creation, Verdict


def in_sandbox() -> bool:
    """Whether our own plugin makes the ids, which for four types are not AWS's plugin's."""
    return os.environ.get("ISTHMUS_SANDBOX") == "1"


def _metric_filter(aws: Aws, creation: Creation) -> Verdict:
    """A log group's filter, by a name that was made up."""
    find = by_name(
        "logs",
        "describe_metric_filters",
        {"logGroupName": "{logGroupName}", "filterNamePrefix": "{name}"},
        "{logGroupName}:{name}" if in_sandbox() else "{name}",
        item_path="metricFilters[?filterName=='{name}'] | [0]",
    )
    return find(aws, creation)


_INLINE = by_name("iam", "get_role_policy", {"RoleName": "{role}", "PolicyName": "{name}"}, "{role}:{name}")
"""A role's inline policy, by a name that was made up."""

SETTINGS: dict[str, Lookup] = {
    "aws:iam/rolePolicy:RolePolicy": setting("name", _INLINE),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": setting(),
    "aws:secretsmanager/secretPolicy:SecretPolicy": setting(),
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": setting("name", _metric_filter),
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": setting("policyName"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": setting("name"),
    "aws:cloudwatch/eventRule:EventRule": setting("name"),
    "aws:cloudwatch/eventTarget:EventTarget": setting("targetId"),
    "aws:route53/resolverFirewallConfig:ResolverFirewallConfig": setting(),
    "aws:sns/topicPolicy:TopicPolicy": setting(),
    "aws:appautoscaling/target:Target": setting(),
    "aws:appautoscaling/policy:Policy": setting("name"),
    "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration": setting(),
    **{
        f"aws:s3/{lower}:{lower[0].upper()}{lower[1:]}": setting()
        for lower in (
            "bucketLifecycleConfiguration",
            "bucketObjectLockConfiguration",
            "bucketOwnershipControls",
            "bucketPolicy",
            "bucketPublicAccessBlock",
            "bucketServerSideEncryptionConfiguration",
            "bucketVersioning",
        )
    },
}
"""By type token; `put` names the input that says which setting of its parent is meant, where there can be several."""
