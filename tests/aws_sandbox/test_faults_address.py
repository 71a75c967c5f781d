"""`/isthmus/faults`: what it takes, what it refuses, and which calls meet what was put there."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sandbox.aws.faults import KINDS, Fault, FaultListError, parse_faults
from tests.aws_sandbox.authority import Authority, create_session
from tests.aws_sandbox.driver import World
from tests.aws_sandbox.faults import ask, asking, put

pytestmark = pytest.mark.usefixtures("healed")


def test_the_first_calls_pass_and_then_as_many_as_were_asked_meet_the_fault(world: World) -> None:
    from botocore.exceptions import ClientError

    put(world, "kms", "ListKeys", "server-error", after=2, times=50)
    kms = asking("kms", world, tries=1)
    kms.list_keys()
    kms.list_aliases()
    kms.list_keys()
    assert ask(world, "GET")[1][0]["after"] == 0
    with pytest.raises(ClientError, match="InternalFailure"):
        kms.list_keys()
    kms.list_aliases()


def test_of_two_faults_the_first_that_is_left_is_met(world: World) -> None:
    both = [
        {"service": "kms", "operation": "ListKeys", "kind": "drop"},
        {"service": "kms", "operation": "*", "kind": "throttle", "times": 2},
    ]
    assert ask(world, "PUT", both)[0] == 200
    with pytest.raises(Exception, match="Rate exceeded"):
        asking("kms", world, tries=2).list_keys()
    asking("kms", world, tries=2).list_keys()
    assert ask(world, "GET") == (200, [])


def test_the_sandbox_s_own_addresses_meet_no_fault(world: World) -> None:
    put(world, "*", "*", "drop", times=50)
    with urllib.request.urlopen(f"{world.url}/isthmus/health", timeout=10) as answer:
        assert json.load(answer)["status"] == "ok"
    world.forget()
    assert ask(world, "GET")[1][0]["times"] == 50


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"service": "kms"}, "The body is not a list of faults."),
        (["kms"], "fault 1 is not a JSON object."),
        ([{"service": "kms", "operation": "*"}], "fault 1: `kind` is missing."),
        ([{"service": "kms", "operation": "*", "kind": "slow"}], "fault 1: `kind` must be one of throttle"),
        ([{"service": "kmss", "operation": "*", "kind": "drop"}], "Did you mean `kms`?"),
        ([{"service": "kms", "operation": "CreateKeys", "kind": "drop"}], "Did you mean `CreateKey`?"),
        ([{"service": "*", "operation": "CreateKey", "kind": "drop"}], "Set `service`"),
        ([{"service": "kms", "operation": "*", "kind": "drop", "time": 1}], "Did you mean `times`?"),
        ([{"service": "kms", "operation": "*", "kind": "drop", "times": 0}], "a whole number from 1"),
        ([{"service": "kms", "operation": "*", "kind": "drop", "times": True}], "a whole number from 1"),
        ([{"service": "kms", "operation": "*", "kind": "timeout", "seconds": 61}], "a number from 0 to 60"),
    ],
)
def test_what_is_no_fault_is_refused_with_the_reason_and_changes_nothing(
    world: World, value: Any, reason: str
) -> None:
    put(world, "kms", "CreateKey", "drop", times=3)
    status, answer = ask(world, "PUT", value)
    assert status == 400
    assert reason in answer["message"]
    assert ask(world, "GET")[1][0]["times"] == 3


def test_a_session_by_certificate_meets_the_faults_of_any_service_only(world: World) -> None:
    identity, arn = Authority("Bank root").issue("payments"), "arn:aws:iam::123456789012:role/nobody"
    arns: dict[str, str] = {"trustAnchorArn": arn, "profileArn": arn, "roleArn": arn}
    put(world, "rolesanywhere", "*", "throttle")
    assert create_session(world.url, identity, arns)[2] != "ThrottlingException"
    put(world, "*", "*", "throttle")
    assert create_session(world.url, identity, arns)[2] == "ThrottlingException"


def test_what_is_left_can_be_put_again(world: World) -> None:
    put(world, "kms", "CreateKey", "timeout", times=3, after=1, also_done=True, seconds=0.5)
    left = ask(world, "GET")[1]
    assert ask(world, "PUT", left) == (200, left)


def test_only_this_machine_puts_faults_in(world: World) -> None:
    """A page in a browser reaches 127.0.0.1 under a name of its own."""
    assert ask(world, "GET", Host="evil.example.org")[0] == 403
    assert ask(world, "GET", Host="localhost:1")[0] == 200
    assert ask(world, "GET", Host="[::1]:1")[0] == 200
    assert ask(world, "POST")[0] == 405


_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: (
        some.lists(inner) | some.dictionaries(some.text() | some.sampled_from(["service", "kind"]), inner)
    ),
)
_NEARLY = some.fixed_dictionaries(
    {
        "service": some.sampled_from(["kms", "*", "s4"]) | _JSON,
        "operation": some.sampled_from(["*", "CreateKey"]) | _JSON,
        "kind": some.sampled_from(KINDS) | _JSON,
    },
    optional={"times": _JSON, "after": _JSON, "also_done": _JSON, "seconds": _JSON},
)


def _read(value: Any) -> list[Fault] | str:
    try:
        return parse_faults(json.dumps(value).encode())
    except FaultListError as error:
        return str(error)


@given(_JSON | some.lists(_NEARLY, max_size=3))
def test_any_document_is_faults_or_is_refused_in_words(value: Any) -> None:
    actual = _read(value)
    if isinstance(actual, str):
        assert actual.endswith((".", "?"))
        return
    assert isinstance(value, list)
    assert len(actual) == len(value)
    assert all(fault.kind in KINDS and fault.times >= 1 and fault.after >= 0 for fault in actual)
