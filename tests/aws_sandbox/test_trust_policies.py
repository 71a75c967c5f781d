"""Whether a role's trust policy lets IAM Roles Anywhere in: as AWS reads policies, and never by mistake."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.aws.beside.trust_policies import ACTIONS, SERVICE, allows

ANCHOR = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/a"
CN = "aws:PrincipalTag/x509Subject/CN"
CONTEXT = {"aws:SourceArn": ANCHOR, CN: "payments.bank.example", "aws:SourceAccount": "123456789012"}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(condition: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    created = {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": list(ACTIONS)}
    return {**created, **({"Condition": condition} if condition else {}), **more}


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {CN: "payments.bank.example"}},
        {"StringEquals": {CN: ["other", "payments.bank.example"]}},
        {"StringEquals": {CN.lower(): "payments.bank.example"}},
        {"StringEqualsIgnoreCase": {CN: "PAYMENTS.bank.example"}},
        {"StringLike": {CN: "*.bank.example"}},
        {"StringLike": {CN: "payment?.bank.example"}},
        {"StringNotEquals": {CN: "lending.bank.example"}},
        {"StringNotEquals": {"aws:PrincipalTag/x509SAN/URI": "spiffe://other"}},
        {"StringEqualsIfExists": {"aws:PrincipalTag/x509SAN/URI": "spiffe://other"}},
        {"Null": {CN: "false"}},
        {"Null": {"aws:PrincipalTag/x509SAN/URI": "true"}},
        {"ArnEquals": {"aws:SourceArn": ANCHOR}, "StringEquals": {CN: "payments.bank.example"}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:rolesanywhere:*:123456789012:trust-anchor/*"}},
    ],
)
def test_a_condition_that_holds_lets_in(condition: dict[str, Any]) -> None:
    assert allows(policy(allow(condition)), CONTEXT)


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {CN: "Payments.bank.example"}},
        {"StringEquals": {CN: "*.bank.example"}},
        {"StringEquals": {CN: "payments.bank.example", "aws:SourceAccount": "999999999999"}},
        {"StringLike": {CN: "payments"}},
        {"StringLike": {CN: "[p]ayments.bank.example"}},
        {"StringNotLike": {CN: "*.bank.example"}},
        {"StringEquals": {"aws:PrincipalTag/x509SAN/URI": "spiffe://other"}},
        {"Null": {CN: "true"}},
        {"ArnEquals": {"aws:SourceArn": ANCHOR + "b"}},
        {"ArnNotLike": {"aws:SourceArn": ANCHOR}},
        {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}},
        {"ForAllValues:StringEquals": {CN: "payments.bank.example"}},
    ],
)
def test_a_condition_that_does_not_hold_or_is_not_understood_keeps_out(condition: dict[str, Any]) -> None:
    assert not allows(policy(allow(condition)), CONTEXT)


@pytest.mark.parametrize(
    "more",
    [
        {"Principal": {"Service": "ec2.amazonaws.com"}},
        {"Principal": {"AWS": "*"}},
        {"Principal": "*"},
        {"NotPrincipal": {"Service": "ec2.amazonaws.com"}},
        {"NotAction": "sts:AssumeRoleWithSAML"},
        {"Action": "sts:AssumeRole"},
        {"Effect": "allow"},
    ],
)
def test_a_statement_about_something_else_keeps_out(more: dict[str, Any]) -> None:
    created = allow(**more)
    for name in ("Principal", "Action"):
        if f"Not{name}" in more:
            del created[name]
    assert not allows(policy(created), CONTEXT)


def test_actions_may_be_spread_and_have_no_case() -> None:
    spread = [allow(Action=action) for action in ("sts:assumerole", "sts:Tag*", "sts:SetSourceIdentity")]
    assert allows(policy(*spread), CONTEXT)
    assert not allows(policy(*spread[:2]), CONTEXT)


@pytest.mark.parametrize(
    "deny",
    [
        {},
        {"Principal": "*"},
        {"Action": "sts:SetSourceIdentity"},
        {"Action": "sts:*"},
        {"Condition": {"StringEquals": {CN: "payments.bank.example"}}},
        {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
    ],
)
def test_a_deny_wins_wherever_it_stands_and_when_it_is_not_understood(deny: dict[str, Any]) -> None:
    denied = allow(Effect="Deny", **deny)
    assert not allows(policy(allow(), denied), CONTEXT)
    assert not allows(policy(denied, allow()), CONTEXT)


def test_a_deny_of_others_leaves_in() -> None:
    others = {"StringNotEquals": {CN: "payments.bank.example"}}
    assert allows(policy(allow(), allow(others, Effect="Deny")), CONTEXT)


_NAMES = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=20)


@given(mine=_NAMES, expected=_NAMES)
def test_an_exact_name_lets_in_itself_and_nothing_else(mine: str, expected: str) -> None:
    condition = {"StringEquals": {CN: expected}}
    assert allows(policy(allow(condition)), {**CONTEXT, CN: mine}) == (mine == expected)


@given(operator=st.text(max_size=20), expected=_NAMES)
def test_no_operator_that_aws_has_not_lets_anyone_in(operator: str, expected: str) -> None:
    from sandbox.aws.beside.trust_policies import _OPERATORS

    base = operator.removesuffix("IfExists").replace("Not", "", 1)
    if base in _OPERATORS or operator == "Null":
        return
    assert not allows(policy(allow({operator: {CN: expected}})), CONTEXT)


@pytest.mark.parametrize("document", [{}, {"Statement": []}, {"Statement": {"Effect": "Allow"}}])
def test_a_policy_that_says_nothing_lets_nobody_in(document: dict[str, Any]) -> None:
    assert not allows(document, CONTEXT)
