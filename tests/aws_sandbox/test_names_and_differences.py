"""How the provider names what has no name, and what it counts as a difference."""

from __future__ import annotations

import json

from pulumi.runtime.proto import provider_pb2 as pb

from sandbox.aws.schema import UNKNOWN
from tests.aws_sandbox.driver import REGION, Client, World, document, trust

BUCKET = "aws:s3/bucket:Bucket"
KEY = "aws:kms/key:Key"
ROLE = "aws:iam/role:Role"
LOGS = "aws:cloudwatch/logGroup:LogGroup"
SOME, NONE = pb.DiffResponse.DIFF_SOME, pb.DiffResponse.DIFF_NONE


# -- names


def test_a_name_is_made_up_and_kept(client: Client, world: World) -> None:
    first, _ = client.check(BUCKET, {}, name="Audit")
    assert first["bucket"].startswith("audit-")
    assert len(first["bucket"]) == len("audit-") + 7
    retained, _ = client.check(BUCKET, {}, first, name="Audit")
    assert retained["bucket"] == first["bucket"]
    replaced, _ = client.check(BUCKET, {}, None, name="Audit")
    assert replaced["bucket"] != first["bucket"]


def test_the_engine_s_seed_decides_the_made_up_name(client: Client) -> None:
    entry, _ = client.check(ROLE, {"assumeRolePolicy": trust()}, seed=b"seed" * 8)
    two, _ = client.check(ROLE, {"assumeRolePolicy": trust()}, seed=b"seed" * 8)
    other, _ = client.check(ROLE, {"assumeRolePolicy": trust()}, seed=b"root" * 8)
    assert entry["name"] == two["name"] != other["name"]


def test_a_made_up_name_that_is_longer_than_aws_takes_is_refused_as_the_real_plugin_does(
    client: Client,
) -> None:
    inputs, failures = client.check(BUCKET, {}, name="x" * 55)
    assert len(inputs["bucket"]) == 63
    assert not failures
    _, failures = client.check(BUCKET, {}, name="x" * 56)
    assert [prop for prop, _ in failures] == ["bucket"]
    assert "longer than maximum length 63" in failures[0][1]


def test_a_made_up_name_begins_as_the_type_s_names_must(client: Client) -> None:
    alias, _ = client.check("aws:kms/alias:Alias", {"targetKeyId": "k"}, name="audit")
    assert alias["name"].startswith("alias/audit-")


def test_a_name_that_the_user_takes_away_is_made_up_anew(client: Client) -> None:
    values, _ = client.check(BUCKET, {"bucket": "given"})
    now, _ = client.check(BUCKET, {}, values, name="audit")
    assert now["bucket"].startswith("audit-")


def test_a_prefix_gives_a_name_at_creation_that_stays(client: Client) -> None:
    inputs = client.checked(BUCKET, {"bucketPrefix": "audit-"})
    assert "bucket" not in inputs
    assert client.create(BUCKET, inputs, preview=True)[1]["bucket"] == UNKNOWN
    id, state = client.create(BUCKET, inputs)
    assert id.startswith("audit-")
    assert state["bucketPrefix"] == "audit-"
    assert client.diff(BUCKET, id, state, inputs).changes == NONE
    assert client.update(BUCKET, id, state, {**inputs, "tags": {"a": "b"}})["bucket"] == id
    assert list(client.diff(BUCKET, id, state, {**inputs, "bucketPrefix": "other-"}).replaces) == [
        "bucketPrefix"
    ]


def test_a_name_and_a_prefix_exclude_each_other(client: Client) -> None:
    _, failures = client.check(BUCKET, {"bucket": "a", "bucketPrefix": "b"})
    assert [name for name, _ in failures] == ["bucketPrefix"]


def test_a_made_up_name_is_replaced_beside_the_old_and_a_fixed_one_after_it(client: Client) -> None:
    for values, expected in (({}, False), ({"name": "fixed-role"}, True)):
        inputs = client.checked(ROLE, {"assumeRolePolicy": trust(), **values})
        state = {**inputs, "path": "/"}
        news = client.checked(ROLE, {"assumeRolePolicy": trust(), "path": "/x/", **values}, inputs)
        assert client.diff(ROLE, "r", state, news).deleteBeforeReplace is expected


# -- what is a difference


def test_a_policy_in_another_order_is_no_difference(client: Client, world: World) -> None:
    inputs = client.checked(ROLE, {"name": world.name("r"), "assumeRolePolicy": trust()})
    id, state = client.create(ROLE, inputs)
    parsed = json.loads(trust())
    statement = parsed["Statement"][0]
    other = {
        "Statement": {**dict(reversed(statement.items())), "Action": ["sts:AssumeRole"]},
        "Version": "2012-10-17",
    }
    same = client.checked(ROLE, {**inputs, "assumeRolePolicy": json.dumps(other, indent=4)}, inputs)
    assert client.diff(ROLE, id, state, same).changes == NONE
    different = {**inputs, "assumeRolePolicy": trust("ec2.amazonaws.com")}
    assert client.diff(ROLE, id, state, different).changes == SOME


def test_a_policy_may_be_given_as_a_map(client: Client) -> None:
    inputs = client.checked(ROLE, {"assumeRolePolicy": json.loads(trust())})
    assert json.loads(inputs["assumeRolePolicy"]) == json.loads(trust())


def test_a_policy_that_is_no_json_is_refused(client: Client) -> None:
    _, failures = client.check(ROLE, {"assumeRolePolicy": "{"})
    assert "not valid JSON" in failures[0][1]


def test_ignored_changes_are_no_difference(client: Client, world: World) -> None:
    inputs = client.checked(BUCKET, {"bucket": world.name("b"), "tags": {"a": "1"}})
    id, state = client.create(BUCKET, inputs)
    news = {**inputs, "tags": {"a": "2"}}
    assert client.diff(BUCKET, id, state, news).changes == SOME
    assert client.diff(BUCKET, id, state, news, ignore=("tags",)).changes == NONE
    assert client.diff(BUCKET, id, state, news, ignore=("tags.a",)).changes == NONE


def test_an_unknown_value_where_a_change_replaces_is_shown_as_a_replacement(client: Client) -> None:
    token = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    state = {"role": "r", "policyArn": "arn:aws:iam::aws:policy/A"}
    actual = client.diff(token, "r/arn", state, {**state, "policyArn": UNKNOWN})
    assert list(actual.replaces) == ["policyArn"]


def test_a_difference_says_where_it_is(client: Client) -> None:
    token = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
    state = {"bucket": "b", "rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 1}}}
    news = {"bucket": "b", "rule": {"defaultRetention": {"mode": "COMPLIANCE", "days": 1}}}
    actual = client.diff(token, "b", state, news)
    assert list(actual.detailedDiff) == ["rule.defaultRetention.mode"]


# -- tags


def test_the_provider_s_tags_are_on_every_resource(bare: Client, world: World) -> None:
    services = ("s3", "kms", "iam", "logs", "sts")
    tags = {"tags": {"owner": "isthmus", "class": "public"}}
    bare.configure(region=REGION, endpoints=[dict.fromkeys(services, world.url)], defaultTags=tags)
    for token, values in (
        (BUCKET, {}),
        (KEY, {}),
        (ROLE, {"assumeRolePolicy": trust()}),
        ("aws:iam/policy:Policy", {"policy": document("s3:*")}),
        (LOGS, {}),
    ):
        inputs = bare.checked(token, {**values, "tags": {"class": "internal"}})
        id, state = bare.create(token, inputs)
        assert state["tags"] == {"class": "internal"}
        assert state["tagsAll"] == {"owner": "isthmus", "class": "internal"}
        _, fresh, retained = bare.read(token, id, state, inputs)
        assert (fresh, retained) == (state, inputs)
        news = {name: value for name, value in inputs.items() if name != "tags"}
        after = bare.update(token, id, state, news)
        assert after["tagsAll"] == {"owner": "isthmus", "class": "public"}
        assert bare.diff(token, id, after, news).changes == NONE
