"""Calls of AWS's that no identity of ours may make, and calls and resources that name no one thing.

The components refuse by these, and the proofs hold what was rendered to the same.
"""

from __future__ import annotations

import re

STOP_TRAIL_ACTIONS = [
    "cloudtrail:StopLogging",
    "cloudtrail:DeleteTrail",
    "cloudtrail:UpdateTrail",
    "cloudtrail:PutEventSelectors",
    "cloudtrail:PutInsightSelectors",
    "cloudtrail:DeleteEventDataStore",
    "cloudtrail:StopEventDataStoreIngestion",
]
"""Calls that switch CloudTrail off, wholly or in part."""
STOP_MONITORING_ACTIONS = [
    "config:DeleteConfigurationRecorder",
    "config:StopConfigurationRecorder",
    "config:PutConfigurationRecorder",
    "config:DeleteDeliveryChannel",
    "config:DeleteConfigRule",
    "guardduty:DeleteDetector",
    "guardduty:UpdateDetector",
    "guardduty:DeleteMembers",
    "guardduty:DisassociateFromAdministratorAccount",
    "guardduty:DisassociateMembers",
    "guardduty:StopMonitoringMembers",
    "cloudwatch:DeleteAlarms",
    "cloudwatch:DisableAlarmActions",
    "logs:DeleteLogGroup",
    "logs:DeleteLogStream",
    "logs:DeleteMetricFilter",
    "logs:DeleteRetentionPolicy",
    "logs:DisassociateKmsKey",
    "logs:PutRetentionPolicy",
    "bedrock:DeleteModelInvocationLoggingConfiguration",
    "bedrock:PutModelInvocationLoggingConfiguration",
    "bedrock:DeleteGuardrail",
    "bedrock:UpdateGuardrail",
]
"""Calls that blind whoever watches: AWS Config, GuardDuty, alarms, logs; and that loosen a guardrail."""
DELETE_RECORD_ACTIONS = [
    "s3:BypassGovernanceRetention",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutBucketAcl",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
]
"""Calls that delete records or change who may."""
DISABLE_KEY_ACTIONS = [
    "kms:CreateGrant",
    "kms:DeleteImportedKeyMaterial",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
]
"""Calls by which sealed records become unreadable, or readable to others."""
OTHER_IDENTITY_ACTIONS = [
    "organizations:*",
    "account:*",
    "sts:AssumeRole",
    "sts:AssumeRoot",
    "sts:GetFederationToken",
]
"""Ways from this identity to another one."""
UNSCOPED_ACTIONS = (
    *("ecr:GetAuthorizationToken", "sts:GetCallerIdentity", "bedrock:ListFoundationModels"),
    *("ec2:DescribeInstances", "ec2:DescribeInstanceTypes", "ec2:DescribeNetworkInterfaces"),
    *("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeTags"),
)
"""Calls that know no resource (service authorization reference; as of knowledge, not checked): only for
these may a policy's resource be `*`."""
ACCOUNT_ACTIONS = (
    *(
        "budgets:ViewBudget",
        "ce:GetCostAndUsage",
        "ce:GetCostForecast",
        "ce:GetDimensionValues",
        "ce:GetTags",
    ),
    *("ce:GetReservationUtilization", "ce:GetSavingsPlansUtilization", "ce:GetUsageForecast"),
    *("cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics", "ec2messages:GetMessages"),
    *("iam:GetAccountSummary", "pricing:GetProducts", "servicequotas:GetServiceQuota"),
    *("ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel"),
    *("ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel", "tag:GetResources", "tag:GetTagKeys"),
    *("tag:GetTagValues", "xray:PutTelemetryRecords", "xray:PutTraceSegments"),
)
"""Calls about costs, figures and tags of the whole account, and of an agent about its own machine: AWS gives them no
resource, or none that says more (AWS's service authorization data in parliament, read on 30 November 2026)."""
_KINDS_NAMED_BY_AWS = {
    "ec2": ("network-interface", "instance", "subnet", "security-group"),
    "elasticfilesystem": ("file-system",),
}
"""By service, kinds whose names AWS makes up when they come: their account and region are what bounds them. A file
system's own policy says besides who mounts it."""

_REFERENCE = r"\$\{[\w-]+\.\w+\}"
_SCALING_GROUP = re.compile(
    rf"arn:aws[\w-]*:autoscaling:[a-z]+(?:-[a-z]+)+-\d:(?:\d{{12}}|{_REFERENCE}):"
    rf"autoScalingGroup:\*:autoScalingGroupName/(?:\w|{_REFERENCE})(?:[^*?$/:]|{_REFERENCE})*\*?"
)
"""Auto Scaling groups of one account and region, by name or by the first part of it. AWS makes up the UUID before the
name, and names the group of an EKS node group `eks-NODEGROUP-UUID`.
Source: the ARN of `autoScalingGroup` in AWS's service authorization reference, 2026-11."""


def is_open_resource(resource: str) -> bool:
    """Whether a resource's account, its type or the first part of its name is left open."""
    if not resource.startswith("arn:"):
        # What is known to AWS only (a placeholder of `isthmus render`) has no wildcard.
        return not resource or _has_wildcard(resource)
    if _SCALING_GROUP.fullmatch(resource):
        return False
    # Fields of an ARN: arn, partition, service, region, account, and the resource's own; too few are empty.
    _, part, service, _, account, resource_part = [*resource.split(":", 5), "", "", "", ""][:6]
    # A bucket's name comes first; others begin with their kind, or are a name alone.
    kind, *names = (
        ["", resource_part.split("/", 1)[0]] if service == "s3" else re.split("[:/]+", resource_part)
    )
    if not names:
        kind, names = "", [kind]
    if kind in _KINDS_NAMED_BY_AWS.get(service, ()):
        return any(map(_has_wildcard, (part, account)))
    first_name = next((name for name in names if name), "")
    return any(map(_has_wildcard, (part, service, account, kind))) or re.search(r"\w", first_name) is None


def _has_wildcard(text: str) -> bool:
    return "*" in text or "?" in text
