"""Lookups that decide whether an AWS resource was created, against answers that the test chooses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.project import aws_account
from isthmus.engine.project.aws_account import Aws, Denied
from isthmus.engine.recovery.aws.lookup import (
    RESOURCE_TAG,
    STACK_TAG,
    ByTags,
    by_name,
    by_parent,
    tags_as_mapping,
    undecidable,
)
from isthmus.engine.state.interrupted_creations import Creation, Made, NotMade, Unknown

OURS = {STACK_TAG: "isthmus/dev", RESOURCE_TAG: "thing"}
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Answers:
    """A client whose operations answer what they are given, or raise it."""

    def __init__(self, **operations: Any) -> None:
        self.operations = operations
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def can_paginate(self, call: str) -> bool:
        return False

    def __getattr__(self, call: str) -> Any:
        def answer(**params: Any) -> Any:
            self.asked.append((call, params))
            answer = self.operations[call]
            answer = answer(params) if callable(answer) else answer
            if isinstance(answer, Exception):
                raise answer
            return answer

        return answer


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Call")


def aws(known_urns: frozenset[tuple[str, str]] = frozenset(), **operations: Any) -> Aws:
    identity = Answers(get_caller_identity={"Account": "123456789012", "Arn": "arn:aws-us-gov:iam::1:user/x"})
    clients = {"some": Answers(**operations), "sts": identity}
    return Aws({"region": "eu-central-1"}, "isthmus/dev", known_urns, clients)


def creation(since: str | None = None, **inputs: Any) -> Creation:
    urn = "urn:pulumi:dev::isthmus::aws:some/thing:Thing::thing"
    return Creation(
        {"urn": urn, "type": "aws:some/thing:Thing", "inputs": {"__defaults": [], **inputs}}, since
    )


def tags(**more: str) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in {**OURS, **more}.items()]


BY_NAME = by_name(
    "some",
    "get_thing",
    {"Name": "{name}"},
    "{item[Arn]}",
    item_path="Thing",
    tags=("list_tags", {"Arn": "{item[Arn]}"}, "Tags"),
)
BY_TAGS = ByTags("some", "list_things", "Things", "{item[Id]}", created="Created", gone="State=='going'")
THING = {"Thing": {"Arn": "arn:thing"}}


class TestByName:
    def test_a_named_resource_with_our_tags_is_adopted(self):
        assert BY_NAME(aws(get_thing=THING, list_tags={"Tags": tags()}), creation(name="a")) == Made(
            "arn:thing"
        )

    def test_a_resource_that_aws_does_not_know_was_not_created(self):
        for code in ("NoSuchEntity", "ResourceNotFoundException", "404", "InvalidVpcID.NotFound"):
            assert BY_NAME(aws(get_thing=refused(code)), creation(name="a")) == NotMade()

    def test_a_resource_of_another_stack_is_not_adopted_and_its_owner_is_named(self):
        account = aws(get_thing=THING, list_tags={"Tags": tags(**{STACK_TAG: "isthmus/prod"})})
        verdict = BY_NAME(account, creation(name="a"))
        assert isinstance(verdict, NotMade)
        assert "isthmus/prod" in verdict.why

    def test_a_named_resource_without_tags_is_undecided(self):
        verdict = BY_NAME(aws(get_thing=THING, list_tags={"Tags": []}), creation(name="a"))
        assert isinstance(verdict, Unknown)
        assert verdict.look == "aws some get-thing --name a --region eu-central-1"

    def test_a_generated_name_is_enough_to_adopt_a_resource(self):
        made_up = creation(name="thing-1a2b3c4", __defaults=["name"])
        assert BY_NAME(aws(get_thing=THING, list_tags={"Tags": []}), made_up) == Made("arn:thing")

    def test_a_name_generated_from_a_prefix_cannot_be_looked_up(self):
        assert isinstance(BY_NAME(aws(), creation(namePrefix="a")), Unknown)

    def test_a_resource_that_is_in_the_state_is_not_looked_up_again(self):
        account = aws(frozenset({("aws:some/thing:Thing", "arn:thing")}), get_thing=THING)
        assert isinstance(BY_NAME(account, creation(name="a")), NotMade)


class TestByTags:
    def things(self, *items: dict[str, Any], **kind: Any) -> Any:
        listed = [{"Id": f"t-{number}", "Tags": tags(), **item} for number, item in enumerate(items)]
        return aws(list_things={"Things": listed}, **kind)

    def test_a_listed_resource_with_our_tags_is_adopted(self):
        foreign = {"Tags": tags(**{RESOURCE_TAG: "another"})}
        assert BY_TAGS(self.things(foreign, {}), creation()) == Made("t-1")

    def test_two_matches_are_named_with_their_ids_and_neither_is_adopted(self):
        verdict = BY_TAGS(self.things({}, {}), creation())
        assert isinstance(verdict, Unknown)
        assert "2 resources may be this one (t-0, t-1)" in verdict.may

    def test_resources_being_deleted_do_not_match(self):
        assert BY_TAGS(self.things({"State": "going"}, {}), creation()) == Made("t-1")

    def test_resources_older_than_the_run_do_not_match_within_clock_tolerance(self):
        account = self.things(
            {"Created": NOON - timedelta(minutes=5)}, {"Created": (NOON - timedelta(seconds=30)).isoformat()}
        )
        assert BY_TAGS(account, creation(since=NOON.isoformat())) == Made("t-1")

    def test_unreadable_tags_leave_a_creation_undecided_unless_another_resource_matches(self):
        look_up = ByTags(
            "some", "list_things", "Things", "{item[Id]}", tags=("list_tags", {"Id": "{item[Id]}"}, "Tags")
        )
        denied = refused("AccessDeniedException")
        verdict = look_up(self.things({}, list_tags=denied), creation())
        assert isinstance(verdict, Unknown)
        assert "the tags of 1 items may not be read" in verdict.may
        some = self.things(
            {}, {}, list_tags=lambda request: denied if request["Id"] == "t-0" else {"Tags": tags()}
        )
        assert look_up(some, creation()) == Made("t-1")


def test_a_child_resource_is_looked_up_through_its_parent():
    look_up = by_parent(
        "some", "list_parts", {"Of": "{parent}"}, "Parts[?Name=='{name}']", "{parent}_{item[Name]}"
    )
    account = aws(list_parts={"Parts": [{"Name": "a"}, {"Name": "b"}]})
    assert look_up(account, creation(parent="p-1", name="b")) == Made("p-1_b")
    assert look_up(account, creation(parent="p-1", name="c")) == NotMade()
    assert account.client("some").asked[0] == ("list_parts", {"Of": "p-1"})


def test_account_and_partition_come_from_the_callers_identity():
    look_up = by_parent(
        "some", "list_parts", {}, "Parts", "arn:{partition}:thing:{region}:{account}:{absent}"
    )
    assert look_up(aws(list_parts={"Parts": [1]}), creation()) == Made(
        "arn:aws-us-gov:thing:eu-central-1:123456789012:"
    )


def test_a_type_without_a_lookup_is_undecided_with_a_search_command_by_tags():
    verdict = undecidable(aws(), creation())
    assert isinstance(verdict, Unknown)
    assert "Key=isthmus-stack,Values=isthmus/dev Key=isthmus-resource,Values=thing" in verdict.look


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (refused("ThrottlingException"), EnvironmentFault, "ThrottlingException"),
        (refused("AccessDenied"), Denied, "get-thing.*AccessDenied"),
        (EndpointConnectionError(endpoint_url="https://x"), EnvironmentFault, "https://x"),
    ],
)
def test_an_account_that_does_not_answer_does_not_count_as_empty(error, kind, message):
    with pytest.raises(kind, match=message):
        BY_NAME(aws(get_thing=error), creation(name="a"))


@pytest.mark.parametrize(
    "form",
    [
        OURS,
        [{"Key": name, "Value": value} for name, value in OURS.items()],
        [{"key": name, "value": value} for name, value in OURS.items()],
        [{"TagKey": name, "TagValue": value} for name, value in OURS.items()],
    ],
)
def test_tags_are_read_in_every_format_that_aws_returns(form):
    assert tags_as_mapping(form) == OURS


def test_roles_of_a_provider_are_read_from_the_state_in_their_order():
    roles = '[{"roleArn": "arn:1"}, {"roleArn": "arn:2", "externalId": "x"}]'
    assert [
        assumed_role["roleArn"] for assumed_role in aws_account._assumed_roles({"assumeRoles": roles})
    ] == [
        "arn:1",
        "arn:2",
    ]
    assert list(aws_account._assumed_roles({"assumeRoles": "not JSON"})) == []


def test_credentials_of_another_account_than_the_stacks_are_refused(monkeypatch):
    import boto3

    identity = Answers(get_caller_identity={"Account": "999999999999"})
    monkeypatch.setattr(boto3.Session, "client", lambda self, service, **_: identity)
    stray = Aws({"region": "eu-central-1", "allowedAccountIds": '["123456789012"]'}, "isthmus/dev")
    with pytest.raises(
        EnvironmentFault, match=r"account 999999999999, but the stack uses account 123456789012"
    ):
        BY_NAME(stray, creation(name="a"))
