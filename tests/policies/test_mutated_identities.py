"""Faults in roles, trail, translators and keys of the bank's graph: the rules find each."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from components.aws.identity import boundary
from components.aws.records import trail_alarms
from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.render import rendering
from isthmus.graph.iam import permissions
from isthmus.graph.resources.resources import Graph
from tests.broken_graphs.changes import KINDS, finds, plus, template, workload
from tests.policies import holding

CALLS = {
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketPublicAccessBlock": "PutBucketPublicAccessBlock",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycle": "PutLifecycleConfiguration",
    "PutBucketReplication": "PutReplicationConfiguration",
}
"""Where S3's call is allowed by an action of another name."""


def test_the_list_of_trail_threats_covers_denied_and_alarmed_calls():
    named_calls = set(permissions.TRAIL_THREATS)
    denied = {
        *boundary.STOP_TRAIL_ACTIONS,
        *boundary.STOP_MONITORING_ACTIONS,
        *boundary.DELETE_RECORD_ACTIONS,
        *boundary.DISABLE_KEY_ACTIONS,
        *boundary.OTHER_IDENTITY_ACTIONS,
    }
    watched = {
        f"{service}:{CALLS.get(call, call) if service == 's3' else call}"
        for service, calls in {
            "cloudtrail": trail_alarms.TRAIL,
            "kms": trail_alarms.KEY,
            "s3": trail_alarms.STORE,
            "logs": trail_alarms.LOGS,
            "events": trail_alarms.RULES,
            "sns": trail_alarms.TOPIC,
            "cloudwatch": trail_alarms.ALARMS,
        }.items()
        for call in calls
    }
    assert [
        call
        for call in sorted(denied | watched)
        if not any(permissions.covers(call, pattern) for pattern in named_calls)
    ] == []
    assert len(named_calls) == len(permissions.TRAIL_THREATS)


ROLE = "internal-frankfurt-identity-role"
BECOME = json.dumps(
    {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
)
STOP = json.dumps({"Statement": {"Effect": "Allow", "Action": "cloudtrail:StopLogging", "Resource": "*"}})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"permissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"},
            "has no permissions boundary",
        ),
        ({"permissionsBoundary": None, "inlinePolicies": [{"policy": STOP}]}, "may cloudtrail:StopLogging"),
        ({"assumeRolePolicy": BECOME}, "anyone may assume role"),
        (
            {
                "managedPolicyArns": ["arn:aws:iam::aws:policy/AdministratorAccess"],
                "permissionsBoundary": "arn:aws:iam::123456789012:policy/unread",
            },
            "words are not known",
        ),
    ],
)
def test_a_role_without_boundary_or_with_too_many_rights_is_found(
    altered: Any, changes: dict[str, Any], says: str
):
    graph = altered("iam/role:Role", ROLE, lambda inputs: inputs.update(changes))
    finds(holding.trail_cannot_be_disabled(graph), says)


OUTSIDE = {"AWS": "arn:aws:iam::999999999999:root"}


@pytest.mark.parametrize(
    ("kind", "inputs", "says"),
    [
        (
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            {"role": f"${{bank-{ROLE}.name}}", "policyArn": "arn:aws:iam::123456789012:policy/ops"},
            "words are not known",
        ),
        (
            "aws:iam/policyAttachment:PolicyAttachment",
            {"roles": [f"${{bank-{ROLE}.name}}"], "policyArn": "arn:aws:iam::123456789012:policy/ops"},
            "words are not known",
        ),
        ("aws:iam/rolePolicy:RolePolicy", {"role": "admin", "policy": STOP}, "role that is not known"),
        ("aws:iam/user:User", {}, "user or group"),
        ("aws:iam/group:Group", {}, "user or group"),
    ],
)
def test_policies_attached_to_a_role_and_users_or_groups_are_found(
    added: Any, kind: str, inputs: dict[str, Any], says: str
):
    finds(holding.trail_cannot_be_disabled(added(kind, inputs)), says)


@pytest.mark.parametrize(
    ("kind", "name", "fields", "says"),
    [
        ("BucketPolicy", "", {"Principal": "*", "Action": "s3:GetObject"}, "lets anybody in"),
        ("BucketPolicy", "", {"Principal": OUTSIDE, "Action": "s3:*"}, "callers do s3:*"),
        ("BucketPolicy", "", {"Principal": OUTSIDE, "Action": "s3:PutBucket*"}, "do s3:PutBucketPolicy"),
        ("kms/key:Key", "frankfurt-key", {"Principal": {"AWS": "*"}, "Action": "kms:Decrypt"}, "anybody in"),
        ("kms/key:Key", "frankfurt-key", {"Principal": OUTSIDE, "Action": "kms:*"}, "callers do kms:*"),
    ],
)
def test_a_resource_policy_that_lets_others_in_is_found(
    altered: Any, kind: str, name: str, fields: dict[str, Any], says: str
):
    graph = altered(kind, name, plus(Effect="Allow", Resource="*", **fields))
    finds(holding.trail_cannot_be_disabled(graph), says)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"isMultiRegionTrail": False}, "one region"),
        ({"isMultiRegionTrail": None}, "one region"),
        ({"enableLogFileValidation": False}, "does not validate"),
        ({"includeGlobalServiceEvents": False}, "leaves out IAM"),
        (
            {
                "advancedEventSelectors": [
                    {"fieldSelectors": [{"field": "eventCategory", "equals": ["Data"]}]}
                ]
            },
            "change",
        ),
        ({"advancedEventSelectors": [], "eventSelectors": [{"readWriteType": "ReadOnly"}]}, "change"),
    ],
)
def test_a_trail_that_records_less_is_found(altered: Any, changes: dict[str, Any], says: str):
    graph = altered("cloudtrail/trail:Trail", "", lambda inputs: inputs.update(changes))
    finds(holding.trail_cannot_be_disabled(graph), says)


def test_a_missing_trail_is_found_if_the_platform_manages_one(
    rendered: rendering.Rendered, platform: Platform
):
    graph = Graph(resource for resource in rendered.resources if not resource.type.endswith(":Trail"))
    finds(holding.all_of(graph, platform), "0 are made")


def test_a_translator_with_unknown_models_is_found(altered: Any, platform: Platform):
    graph = altered(
        "ConfigMap",
        "internal-gateway-translator-config",
        lambda inputs: inputs["metadata"].update(name="other"),
    )
    finds(
        holding.aws_is_called_through_private_endpoints(graph, platform),
        "no configuration that names its models",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_pods_with_the_credential_helper_count_as_translators_whatever_their_label(
    added: Any, platform: Platform, kind: str
):
    pod = template(**{"isthmus.dev/class": "public"})
    pod["spec"]["containers"][0]["command"] = ["/bin/aws_signing_helper", "serve", "--role-arn", "other"]
    graph = added(kind, workload(kind, "isthmus-internal", pod))
    broken = holding.aws_is_called_through_private_endpoints(graph, platform)
    finds(broken, "more asks for sessions at the public name")


KEY = "AKIA" + "IOSFODNN7EXAMPLE"


@pytest.mark.parametrize(
    ("kind", "inputs", "says"),
    [
        ("Secret", {"data": {"a": base64.b64encode(KEY.encode()).decode()}}, "holds an access key"),
        ("Secret", {"stringData": {"a": f"key={KEY}"}}, "holds an access key"),
        ("Secret", {"data": {"AWS_SECRET_ACCESS_KEY": "eA=="}}, "by its names"),
        ("ConfigMap", {"data": {"a": KEY}}, "holds an access key"),
        ("ConfigMap", {"data": {"ACCESS_KEY_ID": "x"}}, "sets AWS_ACCESS_KEY_ID in"),
        ("ConfigMap", {"metadata": {"name": "elsewhere"}}, "loads every key of"),
    ],
)
def test_an_access_key_in_a_referenced_secret_or_config_map_is_found(
    added: Any, altered: Any, kind: str, inputs: dict[str, Any], says: str
):
    ref = {"secretRef" if kind == "Secret" else "configMapRef": {"name": "more"}, "prefix": "AWS_"}
    graph = altered(
        "Deployment",
        "internal-gateway-translator-server",
        lambda inputs: inputs["spec"]["template"]["spec"]["containers"][0].update(envFrom=[ref]),
    )
    meta = {"metadata": {"name": "more", "namespace": "isthmus-internal"}}
    more = added(f"kubernetes:core/v1:{kind}", {**meta, **inputs}).resources[-1]
    finds(holding.no_access_key(Graph([*graph.resources, more])), says)  # type: ignore[list-item]
