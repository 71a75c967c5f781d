"""The engine's refresh: what it reports about each resource, and incomplete events."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.automation.events import EngineEvent

from isthmus.engine.drift.refresh import Refreshed
from isthmus.engine.preview.masking import Masker
from tests.engine.test_engine_steps import HEAD, state, summary

POLICY = "aws:s3/bucketPolicy:BucketPolicy"


def ended(op: str, name: str = "it", old: Any = None, new: Any = None, **more: Any) -> EngineEvent:
    """How a look at a resource ends."""
    urn = f"{HEAD}${POLICY}::{name}"
    meta = {
        "op": op,
        "urn": urn,
        "type": POLICY,
        "provider": "",
        "old": state(POLICY, urn, old or {}),
        "new": None if new is None else state(POLICY, urn, new),
        **more,
    }
    return EngineEvent.from_json({"sequence": 1, "timestamp": 0, "resOutputsEvent": {"metadata": meta}})


def refreshed(*events: EngineEvent) -> Refreshed:
    refreshed = Refreshed()
    for event in events:
        refreshed.on_event(event)
    return refreshed


def urn(name: str = "it") -> str:
    return f"{HEAD}${POLICY}::{name}"


OLD = {"bucket": "b", "policy": '{"Statement": [{"Effect": "Deny"}]}'}
NEW = {"bucket": "b", "policy": '{"Statement": [{"Effect": "Allow"}]}'}


def test_a_changed_policy_document_is_reported_by_its_parts():
    refresh = refreshed(ended("update", old=OLD, new=NEW), summary(update=1))
    (change,) = refresh.changed({urn(): POLICY}, Masker())[urn()]
    assert (change.path, change.old, change.new) == ("policy.Statement[0].Effect", "Deny", "Allow")


def test_existing_values_and_provider_internals_are_not_changes():
    same = {**OLD, "__defaults": ["x"]}
    refresh = refreshed(ended("update", old=OLD, new=same), ended("same", "other", OLD, OLD), summary(same=2))
    assert refresh.changed({urn(): POLICY, urn("other"): POLICY}, Masker()) == {}


def test_a_difference_in_an_unset_property_is_not_a_change():
    differs = {"etag": {"diffKind": "update", "inputDiff": False}}
    refresh = refreshed(ended("update", old=OLD, new=OLD, detailedDiff=differs), summary(update=1))
    assert refresh.changed({urn(): POLICY}, Masker()) == {}


def test_a_secret_is_hidden_on_both_sides():
    refresh = refreshed(ended("update", old=OLD, new={**OLD, "bucket": "hunter2-012345"}), summary(update=1))
    (change,) = refresh.changed({urn(): POLICY}, Masker(["hunter2-012345"]))[urn()]
    assert (change.secret, change.old, change.new) == (True, "[secret]", "[secret]")


def test_a_removed_resource_is_reported():
    assert refreshed(ended("delete", old=OLD), summary(delete=1)).gone() == {urn()}


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([ended("same")], "end before their summary"),
        ([summary(same=2)], "reported nothing about 1 resources, the first is it"),
        ([ended("import"), summary(same=1)], "this version does not know: import"),
        ([ended("same"), summary(same=1)], ""),
    ],
)
def test_gaps_in_the_events_of_a_refresh_are_reported(events: Any, message: str):
    missing = refreshed(*events).missing([urn()])
    assert (message in missing) if message else (missing == "")
