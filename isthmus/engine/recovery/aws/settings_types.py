"""The AWS types that are settings of another thing: set again they are the same, unless their name was made up."""

from __future__ import annotations

import os

from isthmus.engine.project.aws_account import Aws
from isthmus.engine.recovery.aws.lookup import Way, named, put
from isthmus.engine.state.interrupted_creations import Creation, Verdict


def simulated() -> bool:
    """Whether our own plugin makes the ids, which for four types are not AWS's plugin's."""
    return os.environ.get("ISTHMUS_SANDBOX") == "1"


def _metric_filter(aws: Aws, creation: Creation) -> Verdict:
    """A log group's filter, by a name that was made up."""
    way = named(
        "logs",
        "describe_metric_filters",
        {"logGroupName": "{logGroupName}", "filterNamePrefix": "{name}"},
        "{logGroupName}:{name}" if simulated() else "{name}",
        found="metricFilters[?filterName=='{name}'] | [0]",
    )
    return way(aws, creation)


_INLINE = named("iam", "get_role_policy", {"RoleName": "{role}", "PolicyName": "{name}"}, "{role}:{name}")
"""A role's inline policy, by a name that was made up."""

SETTINGS: dict[str, Way] = {
    "aws:iam/rolePolicy:RolePolicy": put("name", _INLINE),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": put(),
    "aws:secretsmanager/secretPolicy:SecretPolicy": put(),
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": put("name", _metric_filter),
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": put("policyName"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": put("name"),
    "aws:cloudwatch/eventRule:EventRule": put("name"),
    "aws:cloudwatch/eventTarget:EventTarget": put("targetId"),
    "aws:route53/resolverFirewallConfig:ResolverFirewallConfig": put(),
    "aws:sns/topicPolicy:TopicPolicy": put(),
    "aws:appautoscaling/target:Target": put(),
    "aws:appautoscaling/policy:Policy": put("name"),
    "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration": put(),
    **{
        f"aws:s3/{lower}:{lower[0].upper()}{lower[1:]}": put()
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
