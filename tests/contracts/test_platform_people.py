"""Roles of people: who may have which role, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.emergency_access import BreakGlass, Record
from isthmus.contracts.platform.model.people import People
from tests.components.platforms import bank

OPS = {"name": "ops", "role": "platform", "groups": ["oidc:ops"]}
KEYS = ["ssh-ed25519 " + letter * 68 for letter in "ab"]
HOLDERS = [
    {"name": "ann", "user": "oidc:ann", "key": KEYS[0]},
    {"name": "bob", "user": "oidc:bob", "key": KEYS[1]},
]
ACCESS: dict[str, Any] = {
    **{"id": "inc-1", "requester": "ann", "approver": "bob", "reason": "INC-1: the model hangs"},
    **{"site": "fra1", "class": "restricted"},
    **{"since": "2026-11-26T10:00:00Z", "until": "2026-11-26T14:00:00Z"},
}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "people names nobody"),
        ([{**OPS, "groups": ["system:authenticated"]}], "a built-in group of Kubernetes"),
        ([{**OPS, "groups": []}], "at least 1 item"),
        ([OPS, OPS], "appears twice"),
        ([{**OPS, "role": "application"}], "is an application team without classes"),
        ([OPS, {**OPS, "name": "audit", "role": "auditor"}], "is auditor and platform"),
        ([{**OPS, "role": "root"}], "Input should be"),
        ([{**OPS, "permission_sets": ["Llm_Ops"]}], "should match pattern"),
    ],
)
def test_a_role_for_the_wrong_people_is_refused(members: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        People.model_validate({"members": members})


def test_a_role_for_a_class_that_the_platform_lacks_is_refused() -> None:
    data = {**bank(), "people": {"members": [{**OPS, "classes": ["public"]}]}}
    assert CheckedPlatform.model_validate(data).people
    data["gateways"] = [gateway for gateway in data["gateways"] if gateway["class"] != "public"]
    data["endpoints"] = [endpoint for endpoint in data["endpoints"] if endpoint["class"] != "public"]
    with pytest.raises(ValidationError):
        CheckedPlatform.model_validate(data)


@pytest.mark.parametrize(
    ("holders", "message"),
    [
        (HOLDERS[:1], "at least 2 items"),
        ([HOLDERS[0], {**HOLDERS[1], "key": KEYS[0] + " bob"}], "two keyholders have the same key"),
        ([HOLDERS[0], {**HOLDERS[1], "user": "oidc:ann"}], "appears twice"),
        ([HOLDERS[0], {**HOLDERS[1], "user": "system:admin"}], "a built-in user of Kubernetes"),
        ([HOLDERS[0], {**HOLDERS[1], "key": "ssh-rsa AAAA"}], "should match pattern"),
    ],
)
def test_keyholders_must_be_at_least_two_different_people(holders: Any, message: str) -> None:
    assert BreakGlass.model_validate({"keyholders": HOLDERS}).max_hours == 4
    with pytest.raises(ValidationError, match=message):
        BreakGlass.model_validate({"keyholders": holders})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"approver": "ann"}, "the requester and the approver are the same person"),
        ({"until": "2026-11-26T14:00:01Z"}, "is longer than 4 hours or ends before it begins"),
        ({"until": "2026-11-26T10:00:00Z"}, "is longer than 4 hours or ends before it begins"),
        ({"until": "2026-11-26T12:00:00"}, "has no time zone"),
        ({"reason": "because"}, "at least 10"),
        ({"reviewer": "bob"}, "Extra inputs"),
    ],
)
def test_an_emergency_access_without_second_person_end_or_reason_is_refused(
    change: dict[str, Any], message: str
) -> None:
    Record.model_validate(ACCESS)
    with pytest.raises(ValidationError, match=message):
        Record.model_validate({**ACCESS, **change})


def test_the_signature_of_an_emergency_access_covers_its_whole_record_and_stack() -> None:
    record = Record.model_validate(ACCESS)
    text = record.text("bank")
    assert text != record.text("other")
    signed = {**ACCESS, "signatures": {"ann": "x"}}
    assert Record.model_validate(signed).text("bank") == text
    for key, value in (("reason", "INC-2: another reason"), ("class", "internal"), ("site", "fra2")):
        assert Record.model_validate({**ACCESS, key: value}).text("bank") != text
