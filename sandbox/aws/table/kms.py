"""AWS Key Management Service: keys and aliases."""

from __future__ import annotations

from sandbox.aws.model import AutoName, Call, Facet, Tagging, Type, list_all_ids, pairs
from sandbox.aws.schema import Prop, is_same_tail

REGION = Prop(replace=True, computed=True)
TAGS = Prop("map")
_GONE = ("NotFoundException",)


KEY = Type(
    "aws:kms/key:Key",
    service="kms",
    id="{keyId}",
    inputs={
        "description": Prop(),
        "keyUsage": Prop(replace=True, default="ENCRYPT_DECRYPT"),
        "customerMasterKeySpec": Prop(replace=True, default="SYMMETRIC_DEFAULT"),
        "multiRegion": Prop("flag", replace=True, default=False),
        "policy": Prop("json", computed=True),
        "bypassPolicyLockoutSafetyCheck": Prop("flag", local=True),
        "deletionWindowInDays": Prop("number", local=True),
        "isEnabled": Prop("flag", default=True),
        "enableKeyRotation": Prop("flag", default=False),
        "rotationPeriodInDays": Prop("number", computed=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "keyId": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_key",
        {
            "Description": "$description",
            "KeyUsage": "$keyUsage",
            "KeySpec": "$customerMasterKeySpec",
            "MultiRegion": "$multiRegion",
            "Policy": "$policy",
            "BypassPolicyLockoutSafetyCheck": "$bypassPolicyLockoutSafetyCheck",
            "Tags": lambda scope: pairs(scope.get("tagsAll"), "TagKey", "TagValue"),
        },
        result={"keyId": "KeyMetadata.KeyId", "arn": "KeyMetadata.Arn"},
    ),
    list_all=list_all_ids("list_keys", "Keys[].KeyId", Limit=1000),
    reads=(
        Call(
            "describe_key",
            {"KeyId": "$keyId"},
            result={
                "arn": "KeyMetadata.Arn",
                "keyId": "KeyMetadata.KeyId",
                "description": "KeyMetadata.Description",
                "keyUsage": "KeyMetadata.KeyUsage",
                "customerMasterKeySpec": "KeyMetadata.KeySpec",
                "multiRegion": "KeyMetadata.MultiRegion",
                "isEnabled": "KeyMetadata.Enabled",
                "_state": "KeyMetadata.KeyState",
            },
            absent=_GONE,
        ),
        Call("get_key_policy", {"KeyId": "$keyId", "PolicyName": "default"}, result={"policy": "Policy"}),
        Call(
            "get_key_rotation_status",
            {"KeyId": "$keyId"},
            result={
                "enableKeyRotation": "KeyRotationEnabled",
                "rotationPeriodInDays": "RotationPeriodInDays",
            },
            absent=("UnsupportedOperationException",),
        ),
        Call(
            "list_resource_tags",
            {"KeyId": "$keyId"},
            result={"tagsAll": "Tags[].{Key: TagKey, Value: TagValue}"},
        ),
    ),
    facets=(
        Facet(
            ("description",),
            put=Call(
                "update_key_description",
                {"KeyId": "$keyId", "Description": lambda scope: scope.get("description") or ""},
            ),
        ),
        Facet(
            ("policy",),
            put=Call("put_key_policy", {"KeyId": "$keyId", "PolicyName": "default", "Policy": "$policy"}),
        ),
        Facet(
            ("enableKeyRotation", "rotationPeriodInDays"),
            at_create=True,
            put=Call(
                "enable_key_rotation", {"KeyId": "$keyId", "RotationPeriodInDays": "$rotationPeriodInDays"}
            ),
            clear=Call("disable_key_rotation", {"KeyId": "$keyId"}),
        ),
        Facet(
            ("isEnabled",),
            at_create=True,
            gate=True,
            put=Call("enable_key", {"KeyId": "$keyId"}),
            clear=Call("disable_key", {"KeyId": "$keyId"}),
        ),
    ),
    tagging=Tagging(
        put=Call(
            "tag_resource",
            {"KeyId": "$keyId", "Tags": lambda scope: pairs(scope["tagsSet"], "TagKey", "TagValue")},
        ),
        remove=Call("untag_resource", {"KeyId": "$keyId", "TagKeys": "$tagsGone"}),
    ),
    is_gone=lambda scope: scope.get("_state") in ("PendingDeletion", "PendingReplicaDeletion"),
    delete=Call(
        "schedule_key_deletion",
        {"KeyId": "$keyId", "PendingWindowInDays": "$deletionWindowInDays"},
        absent=("NotFoundException", "KMSInvalidStateException"),
    ),
    limits="A deleted key stays, pending deletion, as in AWS; nothing ends the waiting time. "
    "A key policy is kept, not enforced.",
)

ALIAS = Type(
    "aws:kms/alias:Alias",
    service="kms",
    id="{name}",
    inputs={
        "name": Prop(replace=True),
        "namePrefix": Prop(replace=True, local=True),
        "targetKeyId": Prop(required=True, alike=is_same_tail),
        "region": REGION,
    },
    outputs={"arn": Prop(), "targetKeyArn": Prop(computed=True)},
    create=Call("create_alias", {"AliasName": "$name", "TargetKeyId": "$targetKeyId"}),
    reads=(
        Call(
            "list_aliases",
            {},
            pick="Aliases[?AliasName=='{name}'] | [0]",
            result={"arn": "AliasArn", "targetKeyId": "TargetKeyId"},
        ),
        Call(
            "describe_key",
            {"KeyId": "$targetKeyId"},
            result={"targetKeyArn": "KeyMetadata.Arn"},
            absent=_GONE,
        ),
    ),
    facets=(
        Facet(
            ("targetKeyId",),
            put=Call("update_alias", {"AliasName": "$name", "TargetKeyId": "$targetKeyId"}),
        ),
    ),
    delete=Call("delete_alias", {"AliasName": "$name"}, absent=_GONE),
    autoname=AutoName(
        "name",
        "namePrefix",
        longest=256,
        shape=lambda name: name if name.startswith("alias/") else f"alias/{name}",
    ),
    limits="That the name `alias/aws/…` is AWS's own is not checked.",
)

TYPES = (KEY, ALIAS)
