"""Cases of KMS, S3, IAM and CloudWatch's log groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.driver import World, document, trust


def _other_bucket(world: World, inputs: Inputs) -> Inputs:
    return {**inputs, "bucket": world.bucket(ObjectLockEnabledForBucket="rule" in inputs)}


def _key_behind(world: World, inputs: Inputs) -> str:
    world.boto("kms").update_key_description(KeyId=inputs["keyId"], Description="by another hand")
    return "description"


def _key_left(world: World, inputs: Inputs) -> bool:
    return world.boto("kms").describe_key(KeyId=inputs["keyId"])["KeyMetadata"]["KeyState"] == "Enabled"


def _alias_behind(world: World, inputs: Inputs) -> str:
    world.boto("kms").update_alias(AliasName=inputs["name"], TargetKeyId=world.key())
    return "targetKeyId"


def _alias_left(world: World, inputs: Inputs) -> bool:
    aliases = world.boto("kms").list_aliases()["Aliases"]
    return any(alias["AliasName"] == inputs["name"] for alias in aliases)


def _bucket_behind(world: World, inputs: Inputs) -> str:
    tags = {"TagSet": [{"Key": "owner", "Value": "another hand"}]}
    world.boto("s3").put_bucket_tagging(Bucket=inputs["bucket"], Tagging=tags)
    return "tags"


def _s3(property: str, operation: str, **params: Any) -> Callable[[World, Inputs], str]:
    def behind(world: World, inputs: Inputs) -> str:
        getattr(world.boto("s3"), operation)(Bucket=inputs["bucket"], **params)
        return property

    return behind


def _s3_left(operation: str, *path: str) -> Callable[[World, Inputs], bool]:
    def left(world: World, inputs: Inputs) -> bool:
        answer = found(lambda: getattr(world.boto("s3"), operation)(Bucket=inputs["bucket"]))
        for part in path:
            answer = (answer or {}).get(part)
        return bool(answer)

    return left


def _role_behind(world: World, inputs: Inputs) -> str:
    world.boto("iam").update_assume_role_policy(
        RoleName=inputs["name"], PolicyDocument=trust("ec2.amazonaws.com")
    )
    return "assumeRolePolicy"


def _policy_behind(world: World, inputs: Inputs) -> str:
    world.boto("iam").create_policy_version(
        PolicyArn=inputs["arn"], PolicyDocument=document("s3:*"), SetAsDefault=True
    )
    return "policy"


def _role_policy_behind(world: World, inputs: Inputs) -> str:
    world.boto("iam").put_role_policy(
        RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=document("s3:*")
    )
    return "policy"


def _role_policy_left(world: World, inputs: Inputs) -> bool:
    names = {"RoleName": inputs["role"], "PolicyName": inputs["name"]}
    return bool(found(lambda: world.boto("iam").get_role_policy(**names)))


def _detached(world: World, inputs: Inputs) -> str:
    world.boto("iam").detach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
    return ""


def _attached(world: World, inputs: Inputs) -> bool:
    return bool(world.boto("iam").list_attached_role_policies(RoleName=inputs["role"])["AttachedPolicies"])


def _log_behind(world: World, inputs: Inputs) -> str:
    world.boto("logs").put_retention_policy(logGroupName=inputs["name"], retentionInDays=1)
    return "retentionInDays"


def _log_left(world: World, inputs: Inputs) -> bool:
    answer = world.boto("logs").describe_log_groups(logGroupNamePrefix=inputs["name"])
    return bool(answer["logGroups"])


def _encryption(key: str | None) -> list[dict[str, Any]]:
    rule = {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key} if key else {"sseAlgorithm": "AES256"}
    return [{"applyServerSideEncryptionByDefault": rule, "bucketKeyEnabled": bool(key)}]


def _lock(days: int) -> dict[str, Any]:
    return {"defaultRetention": {"mode": "GOVERNANCE", "days": days}}


_EXPIRE = {
    "id": "old",
    "status": "Enabled",
    "filter": {"prefix": "logs/"},
    "expiration": {"days": 30},
    "noncurrentVersionExpiration": {"noncurrentDays": 7},
    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 3},
    "transitions": [{"days": 10, "storageClass": "GLACIER"}],
}
_AFTER_A_LOCK = [
    {
        "id": "drop-unfinished-uploads",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
    },
    {
        "id": "delete-after-retention",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "expiration": {"days": 60},
        "noncurrentVersionExpiration": {"noncurrentDays": 1},
    },
    {
        "id": "drop-markers-of-nothing",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "expiration": {"expiredObjectDeleteMarker": True},
    },
]
"""As the audit store has them."""

CASES: dict[str, Case] = {
    "aws:kms/key:Key": Case(
        make=lambda world: {
            "description": "audit",
            "enableKeyRotation": True,
            "deletionWindowInDays": 7,
            "policy": document("kms:*"),
            "tags": {"class": "restricted"},
        },
        change=changed(
            description="audit store",
            enableKeyRotation=False,
            policy=document("kms:*", "kms:Decrypt"),
            tags={"class": "internal", "new": "1"},
        ),
        replace=changed(customerMasterKeySpec="RSA_2048", keyUsage="SIGN_VERIFY", enableKeyRotation=False),
        behind=_key_behind,
        left=_key_left,
    ),
    "aws:kms/alias:Alias": Case(
        make=lambda world: {"name": f"alias/{world.name('a')}", "targetKeyId": world.key()},
        change=lambda world, inputs: {**inputs, "targetKeyId": world.key()},
        replace=lambda world, inputs: {**inputs, "name": f"alias/{world.name('b')}"},
        behind=_alias_behind,
        left=_alias_left,
    ),
    "aws:s3/bucket:Bucket": Case(
        make=lambda world: {"bucket": world.name("audit"), "tags": {"class": "restricted"}},
        change=changed(tags={"class": "internal"}, forceDestroy=True),
        replace=changed(objectLockEnabled=True),
        behind=_bucket_behind,
        left=_s3_left("head_bucket"),
    ),
    "aws:s3/bucketVersioning:BucketVersioning": Case(
        make=lambda world: {"bucket": world.bucket(), "versioningConfiguration": {"status": "Enabled"}},
        change=changed(versioningConfiguration={"status": "Suspended"}),
        replace=_other_bucket,
        behind=_s3(
            "versioningConfiguration",
            "put_bucket_versioning",
            VersioningConfiguration={"Status": "Suspended"},
        ),
        left=lambda world, inputs: (
            world.boto("s3").get_bucket_versioning(Bucket=inputs["bucket"]).get("Status") == "Enabled"
        ),
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": Case(
        make=lambda world: {"bucket": world.bucket(), "rules": _encryption(world.key())},
        change=changed(rules=_encryption(None)),
        replace=_other_bucket,
        behind=_s3(
            "rules",
            "put_bucket_encryption",
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
        ),
        left=_s3_left("get_bucket_encryption"),
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Case(
        make=lambda world: {"bucket": world.bucket(), "blockPublicAcls": True, "blockPublicPolicy": True},
        change=changed(ignorePublicAcls=True, blockPublicPolicy=False),
        replace=_other_bucket,
        behind=_s3(
            "blockPublicAcls",
            "put_public_access_block",
            PublicAccessBlockConfiguration={"BlockPublicAcls": False, "BlockPublicPolicy": True},
        ),
        left=_s3_left("get_public_access_block"),
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": Case(
        make=lambda world: {"bucket": world.bucket(), "rule": {"objectOwnership": "BucketOwnerEnforced"}},
        change=changed(rule={"objectOwnership": "BucketOwnerPreferred"}),
        replace=_other_bucket,
        behind=_s3(
            "rule",
            "put_bucket_ownership_controls",
            OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]},
        ),
        left=_s3_left("get_bucket_ownership_controls"),
    ),
    "aws:s3/bucketPolicy:BucketPolicy": Case(
        make=lambda world: {"bucket": world.bucket(), "policy": document("s3:GetObject")},
        change=changed(policy=document("s3:PutObject")),
        replace=_other_bucket,
        behind=_s3("policy", "put_bucket_policy", Policy=document("s3:*")),
        left=_s3_left("get_bucket_policy"),
    ),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": Case(
        make=lambda world: {"bucket": world.bucket(ObjectLockEnabledForBucket=True), "rule": _lock(1)},
        change=changed(rule=_lock(2)),
        replace=_other_bucket,
        behind=_s3(
            "rule",
            "put_object_lock_configuration",
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}},
            },
        ),
        left=_s3_left("get_object_lock_configuration", "ObjectLockConfiguration", "Rule"),
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Case(
        make=lambda world: {"bucket": world.bucket(), "rules": [_EXPIRE]},
        change=changed(rules=_AFTER_A_LOCK),
        replace=_other_bucket,
        behind=_s3(
            "rules",
            "put_bucket_lifecycle_configuration",
            LifecycleConfiguration={
                "Rules": [
                    {
                        "ID": "all",
                        "Status": "Enabled",
                        "Filter": {"Prefix": ""},
                        "Expiration": {"Days": 1},
                    }
                ]
            },
        ),
        left=_s3_left("get_bucket_lifecycle_configuration"),
    ),
    "aws:iam/role:Role": Case(
        make=lambda world: {
            "name": world.name("role"),
            "assumeRolePolicy": trust(),
            "description": "bedrock",
            "permissionsBoundary": world.policy(),
            "tags": {"class": "internal"},
        },
        change=lambda world, inputs: {
            **{name: value for name, value in inputs.items() if name != "permissionsBoundary"},
            "assumeRolePolicy": trust("ec2.amazonaws.com"),
            "description": "bedrock access",
            "maxSessionDuration": 7200,
            "tags": {},
        },
        replace=changed(path="/isthmus/"),
        behind=_role_behind,
        left=lambda world, inputs: bool(found(lambda: world.boto("iam").get_role(RoleName=inputs["name"]))),
    ),
    "aws:iam/policy:Policy": Case(
        make=lambda world: {
            "name": world.name("policy"),
            "policy": document("bedrock:InvokeModel"),
            "tags": {"class": "internal"},
        },
        change=changed(policy=document("bedrock:InvokeModel", "bedrock:Converse"), tags={"class": "public"}),
        replace=changed(description="another"),
        behind=_policy_behind,
        left=lambda world, inputs: bool(found(lambda: world.boto("iam").get_policy(PolicyArn=inputs["arn"]))),
    ),
    "aws:iam/rolePolicy:RolePolicy": Case(
        make=lambda world: {
            "name": world.name("inline"),
            "role": world.role(),
            "policy": document("bedrock:InvokeModel"),
        },
        change=changed(policy=document("bedrock:Converse")),
        replace=lambda world, inputs: {**inputs, "role": world.role()},
        behind=_role_policy_behind,
        left=_role_policy_left,
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Case(
        make=lambda world: {"role": world.role(), "policyArn": world.policy()},
        change=None,
        replace=lambda world, inputs: {**inputs, "policyArn": world.policy()},
        behind=_detached,
        left=_attached,
    ),
    "aws:cloudwatch/logGroup:LogGroup": Case(
        make=lambda world: {
            "name": world.name("/isthmus/audit"),
            "retentionInDays": 365,
            "tags": {"class": "internal"},
        },
        change=lambda world, inputs: {
            **inputs,
            "retentionInDays": 30,
            "kmsKeyId": "arn:aws:kms:eu-central-1:123456789012:key/" + world.key(),
            "tags": {"kept": "yes"},
        },
        replace=changed(logGroupClass="INFREQUENT_ACCESS"),
        behind=_log_behind,
        left=_log_left,
    ),
}
