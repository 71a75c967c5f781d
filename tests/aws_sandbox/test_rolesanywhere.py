"""Trust anchors and profiles beside moto, as their API answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.aws.beside.rolesanywhere import _default_notices, _merge_notices
from tests.aws_sandbox.authority import Authority
from tests.aws_sandbox.driver import World

EVENTS = ("CA_CERTIFICATE_EXPIRY", "END_ENTITY_CERTIFICATE_EXPIRY")


@pytest.fixture
def boto(world: World) -> Any:
    world.forget()
    return world.boto("rolesanywhere")


def anchor(boto: Any, **more: Any) -> dict[str, Any]:
    source = {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": Authority("a").pem}}
    return boto.create_trust_anchor(**{"name": "site", "source": source, **more})["trustAnchor"]


def test_an_anchor_has_aws_s_notices_until_someone_sets_others(boto: Any) -> None:
    created = anchor(boto)
    assert {
        notice["event"]: notice["threshold"] for notice in created["notificationSettings"]
    } == dict.fromkeys(EVENTS, 45)
    assert {notice["configuredBy"] for notice in created["notificationSettings"]} == {
        "rolesanywhere.amazonaws.com"
    }
    id = created["trustAnchorId"]
    mine = [{"event": EVENTS[1], "enabled": False}]
    after = boto.put_notification_settings(trustAnchorId=id, notificationSettings=mine)["trustAnchor"]
    by_event = {notice["event"]: notice for notice in after["notificationSettings"]}
    assert by_event[EVENTS[1]]["enabled"] is False
    assert by_event[EVENTS[1]]["configuredBy"] == "123456789012"
    assert by_event[EVENTS[0]]["configuredBy"] == "rolesanywhere.amazonaws.com"
    keys = [{"event": EVENTS[1]}]
    again = boto.reset_notification_settings(trustAnchorId=id, notificationSettingKeys=keys)["trustAnchor"]
    assert {notice["configuredBy"] for notice in again["notificationSettings"]} == {
        "rolesanywhere.amazonaws.com"
    }


_SETTINGS = st.lists(
    st.fixed_dictionaries(
        {"event": st.sampled_from(EVENTS), "enabled": st.booleans()},
        optional={"threshold": st.integers(1, 360), "channel": st.just("ALL")},
    ),
    max_size=4,
)


@given(values=_SETTINGS)
def test_every_event_has_one_notice_and_the_last_that_was_given_holds(values: list[dict[str, Any]]) -> None:
    created = _merge_notices(values, _default_notices())
    assert sorted(event["event"] for event in created) == sorted(EVENTS)
    for event in values:
        last = [other for other in values if other["event"] == event["event"]][-1]
        [actual] = [other for other in created if other["event"] == event["event"]]
        assert actual["enabled"] == last["enabled"]
        assert actual["threshold"] == last.get("threshold", 45)


def test_what_was_made_is_listed_in_pages_until_it_is_deleted(boto: Any) -> None:
    ids = [anchor(boto, name=f"site-{at}")["trustAnchorId"] for at in range(3)]
    pages = boto.get_paginator("list_trust_anchors").paginate(pageSize=2)
    assert [trust_anchor["trustAnchorId"] for page in pages for trust_anchor in page["trustAnchors"]] == ids
    boto.delete_trust_anchor(trustAnchorId=ids[0])
    assert len(boto.list_trust_anchors()["trustAnchors"]) == 2
    with pytest.raises(boto.exceptions.ResourceNotFoundException):
        boto.get_trust_anchor(trustAnchorId=ids[0])


def test_an_anchor_or_profile_can_be_switched_and_its_tags_go_with_it(boto: Any) -> None:
    profile = boto.create_profile(name="p", roleArns=[], tags=[{"key": "a", "value": "1"}])["profile"]
    assert (profile["enabled"], profile["durationSeconds"]) == (False, 3600)
    assert boto.enable_profile(profileId=profile["profileId"])["profile"]["enabled"] is True
    arn = profile["profileArn"]
    boto.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "2"}])
    boto.untag_resource(resourceArn=arn, tagKeys=["a", "never"])
    assert boto.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    boto.delete_profile(profileId=profile["profileId"])
    with pytest.raises(boto.exceptions.ResourceNotFoundException):
        boto.list_tags_for_resource(resourceArn=arn)


@pytest.mark.parametrize("wrong", [{"durationSeconds": 60}, {"durationSeconds": 43201}, {"sessionPolicy": 1}])
def test_a_profile_that_the_model_forbids_is_refused(world: World, wrong: dict[str, Any]) -> None:
    import json
    import urllib.error
    import urllib.request

    from tests.aws_sandbox.test_frame import SIGNED

    # botocore itself would not send it.
    body = json.dumps({"name": "p", "roleArns": [], **wrong}).encode()
    headers = {"Authorization": SIGNED.replace("bedrock", "rolesanywhere")}
    request = urllib.request.Request(f"{world.url}/profiles", data=body, headers=headers, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=10)
    with refusal.value:
        assert refusal.value.code == 400


def test_what_is_kept_is_kept_by_region(boto: Any, world: World) -> None:
    import boto3

    anchor(boto)
    elsewhere = boto3.client(
        "rolesanywhere",
        endpoint_url=world.url,
        region_name="eu-west-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    assert elsewhere.list_trust_anchors()["trustAnchors"] == []
