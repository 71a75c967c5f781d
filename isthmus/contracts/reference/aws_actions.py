"""Calls of AWS's that no identity of ours may make, and calls and resources that name no one thing.

The components refuse by these, and the proofs hold what was rendered to the same.
"""

from __future__ import annotations

import re

TRAIL = [
    "cloudtrail:StopLogging",
    "cloudtrail:DeleteTrail",
    "cloudtrail:UpdateTrail",
    "cloudtrail:PutEventSelectors",
    "cloudtrail:PutInsightSelectors",
    "cloudtrail:DeleteEventDataStore",
    "cloudtrail:StopEventDataStoreIngestion",
]
"""Calls that switch CloudTrail off, wholly or in part."""
WATCH = [
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
RECORDS = [
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
KEYS = [
    "kms:CreateGrant",
    "kms:DeleteImportedKeyMaterial",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
]
"""Calls by which sealed records become unreadable, or readable to others."""
ONWARD = [
    "organizations:*",
    "account:*",
    "sts:AssumeRole",
    "sts:AssumeRoot",
    "sts:GetFederationToken",
]
"""Ways from this identity to another one."""
UNSCOPED = (
    *("ecr:GetAuthorizationToken", "sts:GetCallerIdentity", "bedrock:ListFoundationModels"),
    *("ec2:DescribeInstances", "ec2:DescribeInstanceTypes", "ec2:DescribeNetworkInterfaces"),
    *("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeTags"),
)
"""Calls that know no resource (service authorization reference; as of knowledge, not checked): only for
these may a policy's resource be `*`."""
_MADE_UP = {
    "ec2": ("network-interface", "instance", "subnet", "security-group"),
    "elasticfilesystem": ("file-system",),
}
"""By service, kinds whose names AWS makes up when they come: their account and region are what bounds them. A file
system's own policy says besides who mounts it."""


def any_resource(resource: str) -> bool:
    """Whether a resource's account, its type or the first part of its name is left open."""
    if not resource.startswith("arn:"):
        # What is known to AWS only (a placeholder of `isthmus render`) has no wildcard.
        return not resource or _open(resource)
    # Fields of an ARN: arn, partition, service, region, account, and the resource's own; too few are empty.
    _, part, service, _, account, own = [*resource.split(":", 5), "", "", "", ""][:6]
    # A bucket's name comes first; others begin with their kind, or are a name alone.
    kind, *names = ["", own.split("/", 1)[0]] if service == "s3" else re.split("[:/]+", own)
    if not names:
        kind, names = "", [kind]
    if kind in _MADE_UP.get(service, ()):
        return any(map(_open, (part, account)))
    named = next((each for each in names if each), "")
    return any(map(_open, (part, service, account, kind))) or re.search(r"\w", named) is None


def _open(text: str) -> bool:
    return "*" in text or "?" in text
