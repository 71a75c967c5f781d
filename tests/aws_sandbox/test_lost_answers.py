"""For every type: it is made and the answer is lost. Then it is there once, or the other one is named."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2 as pb

import sandbox.aws.faults
from sandbox.aws.service_frame import service_model
from sandbox.aws.struct_values import plain
from sandbox.aws.table import TYPES
from tests.aws_sandbox.cases import CASES
from tests.aws_sandbox.driver import Client, Refusal, World
from tests.aws_sandbox.faults import put, unfinished
from tests.aws_sandbox.lost import TWICE, UNTOLD
from tests.sampling import sampled

pytestmark = pytest.mark.usefixtures("healed", "at_once")


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The answers that nobody heard, in their order."""
    unheard: list[str] = []

    def act(behind: Any, environ: dict[str, Any]) -> None:
        unheard.append(b"".join(behind(environ, lambda *_: None)).decode())

    monkeypatch.setattr(sandbox.aws.faults, "_run_call", act)
    return unheard


def creating(token: str) -> tuple[str, str]:
    """The service and the API's name of the call that makes a resource of this type."""
    from botocore import xform_name

    kind = TYPES[token]
    service = kind.create.service or kind.service
    names = {xform_name(name): name for name in service_model(service).operation_names}
    return service, names[kind.create.operation]


def is_the_first(token: str, id: str, inputs: dict[str, Any], first: str) -> bool:
    """Whether the id is the lost answer's; where the inputs tell it all, there cannot be two."""
    parts = TYPES[token].parse_id(id) or {}
    output = str(inputs)
    new = [text for text in parts.values() if text not in output]
    return all(text in first for text in new)


@pytest.mark.parametrize("token", sampled(sorted(set(TYPES) - TWICE), 4))
def test_what_was_made_unheard_is_there_once_and_is_the_first_one(
    client: Client, world: World, lost: list[str], token: str
) -> None:
    inputs = client.checked(token, CASES[token].make(world))
    put(world, *creating(token), "drop", also_done=True)
    id, state = client.create(token, inputs)
    assert len(lost) == 1
    assert is_the_first(token, id, inputs, lost[0]) or _arn_of_name(state, inputs)
    assert client.diff(token, id, state, inputs).changes == pb.DiffResponse.DIFF_NONE
    assert client.read(token, id, state, inputs)[1] == state


def _arn_of_name(state: dict[str, Any], inputs: dict[str, Any]) -> bool:
    """An ARN that ends in the name that was given can be had once only."""
    return str(state.get("arn", "")).endswith(str(inputs.get("name") or inputs.get("bucket") or "no name"))


@pytest.mark.parametrize("token", sampled(sorted(TWICE), 2, 1))
def test_of_what_is_there_twice_the_state_keeps_one_and_names_the_other(
    client: Client, world: World, lost: list[str], token: str
) -> None:
    tags = {"isthmus-resource": world.name("own")}
    inputs = client.checked(token, {**CASES[token].make(world), "tags": tags})
    put(world, *creating(token), "drop", also_done=True)
    with pytest.raises(Refusal) as refusal:
        client.create(token, inputs)
    retained = unfinished(refusal.value)
    assert not is_the_first(token, retained.id, inputs, lost[0]), "it is there once: take it out of the list"
    other = re.search(r"is created, but `(.+?)` exists too, with the same settings", retained.reasons[0])
    assert other, f"the other is not named: {retained.reasons[0]}"
    assert other[1] != retained.id
    assert is_the_first(token, other[1], inputs, lost[0])
    state = plain(retained.properties)
    after = client.update(token, retained.id, state, inputs)
    assert client.diff(token, retained.id, after, inputs).changes == pb.DiffResponse.DIFF_NONE


@pytest.mark.parametrize("token", sampled(sorted(TWICE), 4))
@pytest.mark.parametrize("kind", ["server-error", "drop"])
def test_what_failed_and_was_not_done_is_made_by_the_next_try_and_is_the_only_one(
    client: Client, world: World, token: str, kind: str
) -> None:
    tags = {"isthmus-resource": world.name("own")}  # as the product tags: other tests made such things, too
    inputs = client.checked(token, {**CASES[token].make(world), "tags": tags})
    put(world, *creating(token), kind)
    id, state = client.create(token, inputs)
    assert client.diff(token, id, state, inputs).changes == pb.DiffResponse.DIFF_NONE


@pytest.mark.parametrize("token", sampled(sorted(set(TYPES) - TWICE), 4, 2))
def test_what_no_try_was_answered_for_is_found_all_the_same_or_said_not_to_be_known(
    client: Client, world: World, lost: list[str], token: str
) -> None:
    """Where AWS tells by a token, or by something that only one may have, there is one even then."""
    inputs = client.checked(token, CASES[token].make(world))
    put(world, *creating(token), "server-error", also_done=True, times=5)
    if token in UNTOLD:
        with pytest.raises(Refusal, match="Whether AWS did it is not known"):
            client.create(token, inputs)
        return
    id, state = client.create(token, inputs)
    assert len(lost) == 5
    assert client.diff(token, id, state, inputs).changes == pb.DiffResponse.DIFF_NONE


def test_a_group_that_was_made_unheard_lets_nothing_out_either(client: Client, world: World) -> None:
    """AWS lets a new group out to everywhere until it is told not to."""
    token = "aws:ec2/securityGroup:SecurityGroup"
    inputs = client.checked(token, CASES[token].make(world))
    put(world, *creating(token), "drop", also_done=True)
    id, _ = client.create(token, inputs)
    (group,) = world.boto("ec2").describe_security_groups(GroupIds=[id])["SecurityGroups"]
    assert group["IpPermissionsEgress"] == []


def test_a_bucket_that_was_there_before_is_not_taken_for_one_that_was_made_unheard(
    client: Client, world: World
) -> None:
    """It bears no tags, as one that was just made does not yet; but it is older than the call."""
    import datetime

    from moto.s3.models import s3_backends

    name = world.bucket()
    s3_backends["123456789012"]["aws"].buckets[name].creation_date -= datetime.timedelta(minutes=5)
    put(world, "s3", "CreateBucket", "drop")
    with pytest.raises(Refusal, match="it cannot be shown that this run created it"):
        client.create("aws:s3/bucket:Bucket", client.checked("aws:s3/bucket:Bucket", {"bucket": name}))
