"""AWS Identity and Access Management: roles, policies and attachments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type
from sandbox.aws.schema import Prop
from sandbox.aws.table.kms import TAGS

_GONE = ("NoSuchEntity",)
_ROLE = {"RoleName": "$name"}
_UNENFORCED = "Kept and checked for form; no request is refused by it."


def _detach_everything(call: Callable[..., Any], scope: Scope) -> None:
    """With `forceDetachPolicies`, detach all policies first. Otherwise AWS may refuse the deletion."""
    if not scope.get("forceDetachPolicies"):
        return
    role = scope["name"]
    for policy in call("list_attached_role_policies", RoleName=role)["AttachedPolicies"]:
        call("detach_role_policy", RoleName=role, PolicyArn=policy["PolicyArn"])
    for name in call("list_role_policies", RoleName=role)["PolicyNames"]:
        call("delete_role_policy", RoleName=role, PolicyName=name)


ROLE = Type(
    "aws:iam/role:Role",
    service="iam",
    id="{name}",
    inputs={
        "assumeRolePolicy": Prop("json", required=True),
        "description": Prop(),
        "forceDetachPolicies": Prop("flag", local=True),
        "maxSessionDuration": Prop("number", default=3600),
        "name": Prop(replace=True),
        "namePrefix": Prop(replace=True, local=True),
        "path": Prop(replace=True, default="/"),
        "permissionsBoundary": Prop(),
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "createDate": Prop(), "uniqueId": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_role",
        {
            **_ROLE,
            "AssumeRolePolicyDocument": "$assumeRolePolicy",
            "Description": "$description",
            "MaxSessionDuration": "$maxSessionDuration",
            "Path": "$path",
            "PermissionsBoundary": "$permissionsBoundary",
            "Tags": "$tagsAll",
        },
    ),
    reads=(
        Call(
            "get_role",
            _ROLE,
            pick="Role",
            result={
                "arn": "Arn",
                "createDate": "CreateDate",
                "uniqueId": "RoleId",
                "path": "Path",
                "description": "Description",
                "maxSessionDuration": "MaxSessionDuration",
                "assumeRolePolicy": "AssumeRolePolicyDocument",
                "permissionsBoundary": "PermissionsBoundary.PermissionsBoundaryArn",
            },
            absent=_GONE,
        ),
        Call("list_role_tags", _ROLE, result={"tagsAll": "Tags"}),
    ),
    facets=(
        Facet(
            ("assumeRolePolicy",),
            put=Call("update_assume_role_policy", {**_ROLE, "PolicyDocument": "$assumeRolePolicy"}),
        ),
        Facet(
            ("description", "maxSessionDuration"),
            put=Call(
                "update_role",
                {
                    **_ROLE,
                    "Description": lambda scope: scope.get("description") or "",
                    "MaxSessionDuration": "$maxSessionDuration",
                },
            ),
        ),
        Facet(
            ("permissionsBoundary",),
            put=Call(
                "put_role_permissions_boundary", {**_ROLE, "PermissionsBoundary": "$permissionsBoundary"}
            ),
            clear=Call("delete_role_permissions_boundary", _ROLE),
        ),
    ),
    tagging=Tagging(
        put=Call("tag_role", {**_ROLE, "Tags": "$tagsSet"}),
        remove=Call("untag_role", {**_ROLE, "TagKeys": "$tagsGone"}),
    ),
    before_delete=_detach_everything,
    delete=Call("delete_role", _ROLE, absent=_GONE),
    autoname=AutoName("name", "namePrefix", longest=64),
    limits=_UNENFORCED + " Inline and managed policies are attached by their own types only.",
)


def _keep_four_versions(call: Callable[..., Any], scope: Scope) -> None:
    """Delete the oldest version that is not the default: AWS allows five versions of a policy."""
    versions = call("list_policy_versions", PolicyArn=scope["id"])["Versions"]
    spare = sorted(
        (version for version in versions if not version["IsDefaultVersion"]),
        key=lambda version: int(version["VersionId"].lstrip("v")),
    )
    if len(versions) >= 5:
        call("delete_policy_version", PolicyArn=scope["id"], VersionId=spare[0]["VersionId"])


def _delete_versions(call: Callable[..., Any], scope: Scope) -> None:
    """Delete all versions except the default one, since AWS requires that."""
    for version in call("list_policy_versions", PolicyArn=scope["id"])["Versions"]:
        if not version["IsDefaultVersion"]:
            call("delete_policy_version", PolicyArn=scope["id"], VersionId=version["VersionId"])


def _find_by_name(call: Callable[..., Any], scope: Scope) -> str | None:
    """Return the ARN of the policy with this name. Names are unique in an account, whatever the path."""
    marker: dict[str, Any] = {}
    while True:
        listed = call("list_policies", Scope="Local", **marker)
        for policy in listed["Policies"]:
            if policy["PolicyName"] == scope["name"]:
                return str(policy["Arn"])
        if not listed.get("IsTruncated"):
            return None
        marker = {"Marker": listed["Marker"]}


POLICY = Type(
    "aws:iam/policy:Policy",
    service="iam",
    id="{arn}",
    inputs={
        "description": Prop(replace=True),
        "name": Prop(replace=True),
        "namePrefix": Prop(replace=True, local=True),
        "path": Prop(replace=True, default="/"),
        "policy": Prop("json", required=True),
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "attachmentCount": Prop("number"), "policyId": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_policy",
        {
            "PolicyName": "$name",
            "PolicyDocument": "$policy",
            "Description": "$description",
            "Path": "$path",
            "Tags": "$tagsAll",
        },
        result={"arn": "Policy.Arn"},
    ),
    find_only=_find_by_name,
    reads=(
        Call(
            "get_policy",
            {"PolicyArn": "$arn"},
            pick="Policy",
            result={
                "name": "PolicyName",
                "path": "Path",
                "description": "Description",
                "policyId": "PolicyId",
                "attachmentCount": "AttachmentCount",
                "_version": "DefaultVersionId",
            },
            absent=_GONE,
        ),
        Call(
            "get_policy_version",
            {"PolicyArn": "$arn", "VersionId": "$_version"},
            result={"policy": "PolicyVersion.Document"},
        ),
        Call("list_policy_tags", {"PolicyArn": "$arn"}, result={"tagsAll": "Tags"}),
    ),
    facets=(
        Facet(
            ("policy",),
            put=Call(
                "create_policy_version",
                {"PolicyArn": "$arn", "PolicyDocument": "$policy", "SetAsDefault": True},
            ),
        ),
    ),
    tagging=Tagging(
        put=Call("tag_policy", {"PolicyArn": "$arn", "Tags": "$tagsSet"}),
        remove=Call("untag_policy", {"PolicyArn": "$arn", "TagKeys": "$tagsGone"}),
    ),
    before_update=_keep_four_versions,
    before_delete=_delete_versions,
    delete=Call("delete_policy", {"PolicyArn": "$arn"}, absent=_GONE),
    autoname=AutoName("name", "namePrefix", longest=128),
    limits=_UNENFORCED,
)

_ROLE_POLICY = {"RoleName": "$role", "PolicyName": "$name"}
_PUT_ROLE_POLICY = Call("put_role_policy", {**_ROLE_POLICY, "PolicyDocument": "$policy"})

ROLE_POLICY = Type(
    "aws:iam/rolePolicy:RolePolicy",
    service="iam",
    id="{role}:{name}",
    inputs={
        "name": Prop(replace=True),
        "namePrefix": Prop(replace=True, local=True),
        "policy": Prop("json", required=True),
        "role": Prop(required=True, replace=True),
    },
    outputs={},
    create=_PUT_ROLE_POLICY,
    reads=(Call("get_role_policy", _ROLE_POLICY, result={"policy": "PolicyDocument"}, absent=_GONE),),
    facets=(Facet(("policy",), put=_PUT_ROLE_POLICY),),
    delete=Call("delete_role_policy", _ROLE_POLICY, absent=_GONE),
    autoname=AutoName("name", "namePrefix", longest=128),
    limits=_UNENFORCED,
)

_ATTACHMENT = {"RoleName": "$role", "PolicyArn": "$policyArn"}

ROLE_POLICY_ATTACHMENT = Type(
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    service="iam",
    id="{role}/{policyArn}",
    inputs={
        "policyArn": Prop(required=True, replace=True),
        "role": Prop(required=True, replace=True),
    },
    outputs={},
    create=Call("attach_role_policy", _ATTACHMENT),
    reads=(
        Call(
            "list_attached_role_policies",
            {"RoleName": "$role"},
            pick="AttachedPolicies[?PolicyArn=='{policyArn}'] | [0]",
            absent=_GONE,
        ),
    ),
    delete=Call("detach_role_policy", _ATTACHMENT, absent=_GONE),
    limits=_UNENFORCED + " The id is the import's form, `role/arn`, where the real plugin makes up a suffix.",
)

TYPES = (ROLE, POLICY, ROLE_POLICY, ROLE_POLICY_ATTACHMENT)
