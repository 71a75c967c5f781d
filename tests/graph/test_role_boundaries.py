"""A boundary of the rendering limits a policy of AWS whose words are not known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.contracts.reference.aws_managed_policies import NO_THREAT_TO_TRAILS, READ_NO_DATA
from isthmus.graph.iam.audit_trail import nobody_switches_the_trail_off
from isthmus.graph.iam.permissions import TRAIL_THREATS
from isthmus.graph.resources.resources import Graph
from tests.policies.making import resource_of

S3_ACCESS = "arn:aws:iam::aws:policy/AmazonS3FullAccess"
READS = {"Effect": "Allow", "Action": ["iam:Get*", "s3:GetBucketPolicy"], "Resource": "*"}
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
DENIES = {"Effect": "Deny", "Action": list(TRAIL_THREATS), "Resource": "*"}
UNKNOWN = f"role auditors has {S3_ACCESS}, whose words are not known"


def faults(*statements: dict[str, Any], arn: str = S3_ACCESS, bound: str = "${bound.arn}") -> list[str]:
    """Faults of a role with this policy, whose boundary has these statements."""
    words = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    boundary = resource_of("aws:iam/policy:Policy", "bound", {"policy": words})
    inputs = {"permissionsBoundary": bound, "managedPolicyArns": [arn]}
    role = resource_of("aws:iam/role:Role", "auditors", inputs)
    return [fault.text for fault in nobody_switches_the_trail_off(Graph([boundary, role]))]


def test_the_boundary_may_be_named_as_a_rendering_names_it():
    assert faults(READS, bound="arn:aws:iam:::${bound.arn}") == []


@pytest.mark.parametrize("statements", [[READS], [ALL, DENIES]], ids=["leaves-out", "denies"])
def test_a_policy_of_aws_passes_below_a_boundary_without_threats(statements: list[dict[str, Any]]):
    assert faults(*statements) == []


OPEN: dict[str, list[dict[str, Any]]] = {
    "allows-all": [ALL],
    "allows-one": [READS, {"Effect": "Allow", "Action": TRAIL_THREATS[0], "Resource": "*"}],
    "denies-all-but-one": [ALL, {**DENIES, "Action": list(TRAIL_THREATS[1:])}],
    "denies-under-a-condition": [ALL, {**DENIES, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}],
    "denies-on-one-resource": [ALL, {**DENIES, "Resource": "arn:aws:s3:::records"}],
    "has-no-words": [],
}


@pytest.mark.parametrize("row", OPEN)
def test_a_policy_of_aws_stays_reported_below_a_boundary_that_allows_a_threat(row: str):
    assert faults(*OPEN[row]) == [UNKNOWN]


def test_a_policy_of_an_account_stays_reported_below_any_boundary():
    arn = "arn:aws:iam::210987654321:policy/SecurityAudit"
    assert faults(READS, arn=arn) == [f"role auditors has {arn}, whose words are not known"]


@pytest.mark.parametrize("bound", ["arn:aws:iam::aws:policy/Admin-${bound.arn}", "${other.arn}"])
def test_a_policy_of_aws_stays_reported_where_the_boundary_is_another_policy(bound: str):
    assert UNKNOWN in faults(READS, bound=bound)


def test_a_policy_of_aws_stays_reported_below_a_boundary_that_cannot_be_read():
    boundary = resource_of("aws:iam/policy:Policy", "bound", {"policy": "${document.json}"})
    inputs = {"permissionsBoundary": "${bound.arn}", "managedPolicyArns": [S3_ACCESS]}
    role = resource_of("aws:iam/role:Role", "auditors", inputs)
    found = [fault.text for fault in nobody_switches_the_trail_off(Graph([boundary, role]))]
    assert UNKNOWN in found


def without_boundary(arn: str) -> list[str]:
    inputs = {"permissionsBoundary": "arn:aws:iam::111122223333:policy/org", "managedPolicyArns": [arn]}
    role = resource_of("aws:iam/role:Role", "auditors", inputs)
    return [fault.text for fault in nobody_switches_the_trail_off(Graph([role]))]


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::aws:policy/SecurityAudit",
        "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess",
        "arn:aws-cn:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup",
    ],
)
def test_a_policy_of_aws_that_was_read_and_allows_no_threat_passes_below_any_boundary(arn: str):
    assert without_boundary(arn) == []


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy",
        "arn:aws:iam::aws:policy/service-role/AWS_ConfigRole",
        "arn:aws:iam::210987654321:policy/ViewOnlyAccess",
        "arn:aws:iam::aws:policy/${name}/SecurityAudit",
    ],
)
def test_a_policy_that_allows_one_or_is_an_accounts_own_stays_reported(arn: str):
    assert without_boundary(arn) == [f"role auditors has {arn}, whose words are not known"]


def test_policies_of_aws_that_allow_no_threat_read_no_data_either():
    # Both sets are of the same reading; a policy that reads data is in neither.
    assert set(NO_THREAT_TO_TRAILS) <= READ_NO_DATA
