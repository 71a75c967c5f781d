"""An AWS identity for pods outside AWS."""

import json
from typing import Any

import pytest

from components import WorkloadIdentity
from isthmus.core.errors import InputError, Refused
from tests.components.conftest import ACCOUNT, Engine
from tests.components.policies import allowed

ANCHOR = f"arn:aws:rolesanywhere:eu-central-1:{ACCOUNT}:trust-anchor/a"
SUBJECT = "internal-translator.isthmus-internal.svc"
PROFILES = f"arn:aws:bedrock:eu-central-1:{ACCOUNT}:application-inference-profile/*"
BEARER = {
    "aws_SourceArn": ANCHOR,
    "aws_PrincipalTag_x509Subject_CN": SUBJECT,
    "aws_PrincipalTag_x509SAN_DNS": SUBJECT,
}


def identity(engine: Engine, **more: Any) -> None:
    arguments = {
        "name": "internal",
        "sensitivity": "internal",
        "trust_anchor": ANCHOR,
        "subject": SUBJECT,
        "actions": ["bedrock:InvokeModel", "bedrock:ApplyGuardrail"],
        "resources": [PROFILES],
        "session_seconds": 3600,
    }
    engine.deploy(WorkloadIdentity, "i", {**arguments, **more})


def document(engine: Engine, kind: str, key: str) -> dict[str, Any]:
    return json.loads(engine.only(kind).inputs[key])


def test_only_the_bearer_of_one_certificate_of_one_authority_gets_a_session(engine: Engine) -> None:
    identity(engine)
    trust = document(engine, "Role", "assumeRolePolicy")
    (statement,) = trust["Statement"]
    assert statement["Principal"] == {"Service": "rolesanywhere.amazonaws.com"}
    assert set(statement["Action"]) == {"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"}
    assert allowed(trust, "sts:AssumeRole", **BEARER)
    for key in BEARER:
        assert not allowed(trust, "sts:AssumeRole", **{**BEARER, key: "another"}), f"any {key} would do"
        without = {name: value for name, value in BEARER.items() if name != key}
        assert not allowed(trust, "sts:AssumeRole", **without), f"{key} could be left out"


def test_boundary_and_session_allow_the_actions_named_and_no_others(engine: Engine) -> None:
    identity(engine)
    for policy in (document(engine, "Policy", "policy"), document(engine, "Profile", "sessionPolicy")):
        profile = PROFILES.replace("*", "p1")
        assert allowed(policy, "bedrock:InvokeModel", profile)
        assert not allowed(policy, "bedrock:InvokeModel", "arn:aws:bedrock:eu-central-1::foundation-model/m")
        assert not allowed(policy, "bedrock:DeleteGuardrail", profile)
    assert not allowed(document(engine, "Policy", "policy"), "cloudtrail:StopLogging")


def test_calls_from_another_network_are_outside_boundary_and_session(engine: Engine) -> None:
    identity(engine, source_vpc="vpc-1")
    profile = PROFILES.replace("*", "p1")
    for policy in (document(engine, "Policy", "policy"), document(engine, "Profile", "sessionPolicy")):
        assert allowed(policy, "bedrock:InvokeModel", profile, aws_SourceVpc="vpc-1")
        assert not allowed(policy, "bedrock:InvokeModel", profile, aws_SourceVpc="vpc-2")
        assert not allowed(policy, "bedrock:InvokeModel", profile)


def test_cross_region_calls_are_allowed_only_in_the_destinations_of_the_profile(
    engine: Engine,
) -> None:
    model = "arn:aws:bedrock:*::foundation-model/m"
    profile_arn = "arn:aws:bedrock:eu-west-1::foundation-model/m"
    identity(engine, source_vpc="vpc-1", routed_resources=[model], routed_regions=["eu-west-1"])
    for policy in (document(engine, "Policy", "policy"), document(engine, "Profile", "sessionPolicy")):
        assert allowed(policy, "bedrock:InvokeModel", profile_arn, aws_RequestedRegion="eu-west-1")
        for region in ("eu-central-1", "us-east-1"):
            assert not allowed(policy, "bedrock:InvokeModel", profile_arn, aws_RequestedRegion=region)
        assert not allowed(policy, "bedrock:InvokeModel", f"{profile_arn}2", aws_RequestedRegion="eu-west-1")


def test_a_guardrails_key_may_be_opened_by_boundary_and_session(engine: Engine) -> None:
    key = "arn:aws:kms:eu-central-1:1:key/k"
    identity(engine, source_vpc="vpc-1", guardrail_key=key)
    for policy in (document(engine, "Policy", "policy"), document(engine, "Profile", "sessionPolicy")):
        assert allowed(policy, "kms:Decrypt", key)
        assert not allowed(policy, "kms:Decrypt", key + "2")
        assert not allowed(policy, "bedrock:InvokeModel", PROFILES.replace("*", "p1"))


def test_a_boundary_is_held_to_regions_where_they_are_named(engine: Engine) -> None:
    identity(engine, bedrock_regions=["eu-central-1"])
    policy, profile = document(engine, "Policy", "policy"), PROFILES.replace("*", "p1")
    assert allowed(policy, "bedrock:InvokeModel", profile, aws_RequestedRegion="eu-central-1")
    assert not allowed(policy, "bedrock:InvokeModel", profile, aws_RequestedRegion="us-east-1")


def test_a_profile_hands_out_this_role_alone_for_the_time_said(engine: Engine) -> None:
    identity(engine, session_seconds=900)
    profile = engine.only("Profile").inputs
    assert profile["roleArns"] == ["arn:aws:iam/role:::i-role"]
    assert (profile["durationSeconds"], profile["enabled"]) == (900, True)
    assert profile["requireInstanceProperties"] is False
    assert engine.only("Role").inputs["maxSessionDuration"] == 3600


def test_a_role_may_last_as_long_as_its_sessions(engine: Engine) -> None:
    identity(engine, session_seconds=7200)
    assert engine.only("Role").inputs["maxSessionDuration"] == 7200


def test_a_boundary_that_is_given_bounds_the_role_and_none_is_made(engine: Engine) -> None:
    identity(engine, permissions_boundary="arn:aws:iam::1:policy/edge")
    assert engine.only("Role").inputs["permissionsBoundary"] == "arn:aws:iam::1:policy/edge"
    assert not engine.all("Policy")
    assert engine.outputs["boundary_arn"] == "arn:aws:iam::1:policy/edge"


def test_without_one_a_boundary_of_its_own_bounds_the_role(engine: Engine) -> None:
    identity(engine)
    policy = engine.only("Policy", "i-boundary")
    assert engine.only("Role").inputs["permissionsBoundary"] == f"arn:aws:iam/policy:::{policy.name}"


def test_all_resources_have_class_and_tags_and_none_is_an_access_key(engine: Engine) -> None:
    identity(engine, tags={"team": "ml"})
    assert {resource.kind for resource in engine.made} == {"Role", "Policy", "Profile"}
    for resource in engine.made:
        assert resource.inputs["tags"] == {
            "team": "ml",
            "isthmus.dev/class": "internal",
            "isthmus.dev/identity": "internal",
        }


def test_a_long_name_is_cut_to_what_aws_takes_and_stays_its_own(engine: Engine) -> None:
    identity(engine)
    names = [engine.only("Role").inputs["name"]]
    for name in ("x" * 90 + "a", "x" * 90 + "b"):
        fresh_engine = Engine()
        fresh_engine.deploy(
            WorkloadIdentity,
            name,
            {
                "name": "internal",
                "sensitivity": "internal",
                "trust_anchor": ANCHOR,
                "subject": SUBJECT,
                "actions": ["bedrock:InvokeModel"],
                "resources": [PROFILES],
                "session_seconds": 3600,
            },
        )
        names.append(fresh_engine.only("Role").inputs["name"])
    assert len(set(names)) == 3
    assert max(map(len, names)) <= 64


@pytest.mark.parametrize("sensitivity", ["confidential", "restricted"])
def test_a_class_that_may_not_use_aws_gets_no_identity(engine: Engine, sensitivity: str) -> None:
    with pytest.raises(Refused, match=f"class {sensitivity} may not use bedrock"):
        identity(engine, sensitivity=sensitivity)
    assert not engine.made


def test_a_recorded_exception_lets_a_confidential_class(engine: Engine) -> None:
    identity(engine, sensitivity="confidential", exception="RISK-7")
    assert engine.only("Role")


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"subject": "*.isthmus-internal.svc"}, "not a DNS name"),
        ({"subject": ""}, "not a DNS name"),
        ({"subject": "a" * 61 + ".svc"}, "at most 64"),
        ({"session_seconds": 899}, "session_seconds is 899"),
        ({"session_seconds": 43201}, "session_seconds is 43201"),
        ({"resources": []}, "needs Effect Allow"),
        ({"actions": []}, "needs Effect Allow"),
        ({"resources": ["*"]}, "access every resource"),
        ({"actions": ["bedrock:*"]}, "more than one action"),
        ({"actions": ["iam:PassRole"], "permissions_boundary": "arn:aws:iam::1:policy/edge"}, "is denied"),
        (
            {"resources": [f"arn:aws:bedrock:eu-central-1:1:inference-profile/{'x' * 2000}"]},
            "AWS accepts at most 2,048",
        ),
    ],
)
def test_a_wide_or_refused_setting_is_named(engine: Engine, more: dict[str, Any], match: str) -> None:
    with pytest.raises((InputError, Refused), match=match):
        identity(engine, **more)
    assert not engine.all("Profile")
