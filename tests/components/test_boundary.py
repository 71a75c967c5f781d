"""What an identity of ours can do at most."""

import json
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.aws.identity import boundary
from components.aws.identity.boundary import boundary_arn, boundary_policy, compact_policy
from isthmus.core.errors import InputError, Refused
from tests.components.conftest import Engine
from tests.components.policies import allowed

INVOKE = {
    "Sid": "Call",
    "Effect": "Allow",
    "Action": ["bedrock:InvokeModel"],
    "Resource": ["arn:aws:bedrock:*"],
}


def test_only_named_actions_are_allowed() -> None:
    policy = boundary_policy([INVOKE])
    assert allowed(policy, "bedrock:InvokeModel", "arn:aws:bedrock:eu-central-1::foundation-model/m")
    assert not allowed(policy, "bedrock:InvokeModel", "arn:aws:s3:::b")
    assert not allowed(policy, "bedrock:CreateGuardrail", "arn:aws:bedrock:eu-central-1:1:guardrail/g")


@pytest.mark.parametrize(
    "action",
    [
        "cloudtrail:StopLogging",
        "cloudtrail:DeleteTrail",
        "cloudtrail:UpdateTrail",
        "cloudtrail:PutEventSelectors",
        "cloudtrail:PutInsightSelectors",
        "config:StopConfigurationRecorder",
        "guardduty:DeleteDetector",
        "logs:DeleteLogGroup",
        "s3:DeleteBucket",
        "s3:PutBucketPolicy",
        "s3:PutBucketObjectLockConfiguration",
        "kms:ScheduleKeyDeletion",
        "kms:PutKeyPolicy",
        "iam:CreateAccessKey",
        "iam:PutRolePermissionsBoundary",
        "iam:DeleteRolePermissionsBoundary",
        "organizations:LeaveOrganization",
        "sts:AssumeRole",
    ],
)
def test_a_denial_overrides_the_policy_of_the_role(action: str) -> None:
    everything = {"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}
    policy = boundary_policy([INVOKE])
    policy["Statement"].append(everything)
    assert not allowed(policy, action), (
        f"{action} would get through if someone widened the boundary's allowance"
    )
    assert allowed(policy, "bedrock:InvokeModel"), "the test's own reading of policies denies everything"


@pytest.mark.parametrize(
    "action",
    [
        *("*", "bedrock:*", "bedrock:Invoke*"),
        *(
            "iam:PassRole",
            "cloudtrail:StopLogging",
            "sts:AssumeRole",
            "s3:DeleteObject",
            "s3:PutBucketPolicy",
        ),
    ],
)
def test_a_wildcard_or_a_denied_action_is_refused(action: str) -> None:
    with pytest.raises(Refused):
        boundary_policy([{**INVOKE, "Action": [action]}])
    with pytest.raises(Refused):
        boundary_policy([{**INVOKE, "Action": action}])


@pytest.mark.parametrize("broken", [{"Effect": "Deny"}, {"Action": []}, {"Resource": []}])
def test_a_statement_that_allows_nothing_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        boundary_policy([{**INVOKE, **broken}])


def test_an_empty_boundary_is_refused() -> None:
    with pytest.raises(InputError, match="allows nothing"):
        boundary_policy([])


def test_bedrock_is_held_to_the_regions_named() -> None:
    policy = boundary_policy([INVOKE], bedrock_regions=["eu-west-1", "eu-central-1", "eu-west-1"])
    model = "arn:aws:bedrock:us-east-1::foundation-model/m"
    assert allowed(policy, "bedrock:InvokeModel", model, aws_RequestedRegion="eu-west-1")
    assert not allowed(policy, "bedrock:InvokeModel", model, aws_RequestedRegion="us-east-1")


def test_buckets_named_as_audit_stores_are_held_and_others_are_not() -> None:
    policy = boundary_policy(
        [{"Effect": "Allow", "Action": ["s3:DeleteObject"], "Resource": ["*"]}],
        audit_buckets=["arn:aws:s3:::*audit*"],
    )
    assert not allowed(policy, "s3:DeleteObject", "arn:aws:s3:::llm-audit-1/records/1")
    assert allowed(policy, "s3:DeleteObject", "arn:aws:s3:::scratch/1")


@pytest.mark.parametrize("resource", ["arn:aws:s3:::llm-audit-1", "arn:aws:s3:::llm-audit-1/records/*"])
def test_a_call_that_deletes_records_is_refused_where_it_is_allowed_on_audit_stores_only(
    resource: str,
) -> None:
    for resources in (resource, [resource]):
        erase = {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": resources}
        with pytest.raises(Refused, match="s3:DeleteObject"):
            boundary_policy([erase], audit_buckets=["arn:aws:s3:::llm-audit-*"])
    statement = {
        "Effect": "Allow",
        "Action": "s3:DeleteObject",
        "Resource": [resource, "arn:aws:s3:::scratch/*"],
    }
    assert boundary_policy([statement], audit_buckets=["arn:aws:s3:::llm-audit-*"])


def test_the_role_that_budgets_act_by_may_attach_policies_to_the_named_roles_only() -> None:
    role, other_role = "arn:aws:iam::1:role/internal", "arn:aws:iam::1:role/admin"
    attach = {"Effect": "Allow", "Action": ["iam:AttachRolePolicy"], "Resource": ["*"]}
    policy = boundary_policy([attach], role_policies=[role])
    assert allowed(policy, "iam:AttachRolePolicy", role)
    assert not allowed(policy, "iam:AttachRolePolicy", other_role)
    policy["Statement"].append({"Effect": "Allow", "Action": ["*"], "Resource": ["*"]})
    for action in ("iam:DeleteRolePermissionsBoundary", "iam:UpdateAssumeRolePolicy", "iam:CreateAccessKey"):
        assert not allowed(policy, action, role)


def test_a_given_boundary_is_used_and_none_is_created(engine: Engine) -> None:
    arn = make_boundary(engine, "arn:aws:iam::1:policy/edge")
    assert arn == "arn:aws:iam::1:policy/edge"
    assert not engine.made


def test_without_one_a_tagged_policy_is_made_beside_the_role(engine: Engine) -> None:
    assert make_boundary(engine, None) == "arn:aws:iam/policy:::r-boundary"
    policy = engine.only("Policy", "r-boundary")
    assert policy.inputs["tags"] == {"team": "ml"}
    assert json.loads(policy.inputs["policy"]) == boundary_policy([INVOKE])


def make_boundary(engine: Engine, existing: str | None) -> str:
    class Role(pulumi.ComponentResource):
        arn: pulumi.Output[str]

        def __init__(self) -> None:
            super().__init__("t:t:Role", "r")
            opts = pulumi.ResourceOptions(parent=self)
            self.arn = boundary_arn("r", existing, [INVOKE], opts, tags={"team": "ml"})

    engine.run(Role)
    return engine.outputs["arn"]


def test_a_policy_too_long_for_aws_is_named_before_aws_says_so() -> None:
    many = [
        {**INVOKE, "Resource": [f"arn:aws:bedrock:eu-central-1::foundation-model/m{at}"]} for at in range(60)
    ]
    with pytest.raises(InputError, match=r"AWS accepts at most 6,144"):
        compact_policy(json.dumps(boundary_policy(many)), "r-boundary")
    assert (
        len(compact_policy(json.dumps(boundary_policy([INVOKE]), indent=2), "r")) < boundary.POLICY_CHARACTERS
    )


@given(
    st.lists(
        st.sampled_from(
            boundary.STOP_TRAIL_ACTIONS
            + boundary.STOP_MONITORING_ACTIONS
            + boundary.DELETE_RECORD_ACTIONS
            + boundary.DISABLE_KEY_ACTIONS
        ),
        min_size=1,
    ),
    st.data(),
)
def test_no_statement_that_is_accepted_can_switch_a_safeguard_off(actions: list[str], data: Any) -> None:
    harmless = data.draw(st.lists(st.sampled_from(["bedrock:InvokeModel", "logs:PutLogEvents"]), min_size=1))
    policy = boundary_policy([{**INVOKE, "Action": harmless, "Resource": ["*"]}])
    assert not any(allowed(policy, action) for action in actions)
    with pytest.raises(Refused):
        boundary_policy([{**INVOKE, "Action": [*harmless, *actions]}])
