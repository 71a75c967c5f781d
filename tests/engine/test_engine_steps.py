"""Engine events turned into the changes of a preview, and incomplete events."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.automation.events import EngineEvent

from isthmus.contracts.reports.preview import Change, Preview
from isthmus.engine.preview import assembly as preview_assembly
from isthmus.engine.preview.assembly import PreviewDraft
from isthmus.engine.preview.engine_steps import Account
from isthmus.engine.preview.masking import Masker

HEAD = "urn:pulumi:dev::isthmus::isthmus:index:X"
KEY, BOX = "aws:kms/key:Key", "kubernetes:apps/v1:Deployment"


def state(type_: str, urn: str, inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    parent = f"{HEAD}::whole"
    values = {
        "type": type_,
        "urn": urn,
        "id": "",
        "parent": parent,
        "provider": "",
        "inputs": inputs,
        "outputs": {},
    }
    return values | {"custom": True} | more


def step(
    op: str,
    type_: str = BOX,
    name: str = "it",
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
    **more: Any,
) -> EngineEvent:
    urn = f"{HEAD}${type_}::{name}"
    meta = {
        "op": op,
        "urn": urn,
        "type": type_,
        "provider": "",
        "old": None if old is None else state(type_, urn, old, **(extra or {})),
        "new": None if new is None else state(type_, urn, new),
        **more,
    }
    return EngineEvent.from_json({"sequence": 1, "timestamp": 0, "resourcePreEvent": {"metadata": meta}})


def summary(**counts: int) -> EngineEvent:
    renamed_counts = {key.replace("_", "-"): number for key, number in counts.items()}
    return EngineEvent.from_json(
        {
            "sequence": 2,
            "timestamp": 1,
            "summaryEvent": {"resourceChanges": renamed_counts, "durationSeconds": 1},
        }
    )


def diagnostic(severity: str, message: str, **more: Any) -> EngineEvent:
    event = {"message": message, "color": "never", "severity": severity, **more}
    return EngineEvent.from_json({"sequence": 3, "timestamp": 2, "diagnosticEvent": event})


def account(*events: EngineEvent) -> Account:
    recorded = Account()
    for event in events:
        recorded.on_event(event)
    return recorded


def only(*events: EngineEvent) -> Change:
    (change,) = account(*events).changes(Masker())
    return change


def test_an_update_shows_old_and_new_values_and_the_owner():
    resource = only(step("update", old={"spec": {"replicas": 2}}, new={"spec": {"replicas": 3}}))
    assert (resource.op, resource.name, resource.component) == ("update", "it", "whole")
    assert [(property.path, property.old, property.new) for property in resource.properties] == [
        ("spec.replicas", 2, 3)
    ]


@pytest.mark.parametrize(
    "order",
    [
        ("create-replacement", "replace", "delete-replaced"),
        ("delete-replaced", "replace", "create-replacement"),
        ("replace", "create-replacement"),
    ],
)
def test_the_steps_of_a_replacement_are_one_change_in_any_order(order: tuple[str, ...]):
    forced = {"multiRegion": {"diffKind": "update-replace"}, "description": {"diffKind": "update"}}
    old, new = {"multiRegion": False, "description": "a"}, {"multiRegion": True, "description": "b"}
    events = [
        step(
            op,
            KEY,
            old=None if op == "create-replacement" else old,
            new=None if op == "delete-replaced" else new,
            detailedDiff=None if op == "delete-replaced" else forced,
            extra={"retainOnDelete": True},
        )
        for op in order
    ]
    resource = only(*events)
    assert (resource.op, resource.replaces_because, resource.stateful) == ("replace", ["multiRegion"], True)
    assert resource.retained, "the old key stays"
    assert [property.path for property in resource.properties] == ["description", "multiRegion"]
    assert account(*events).summary() == {"replace": 1}


def test_foreign_changes_are_seen_even_if_our_inputs_are_unchanged():
    inputs = {"blockPublicAcls": True}
    event = step("update", old=inputs, new=inputs, detailedDiff={"blockPublicAcls": {"diffKind": "update"}})
    meta: Any = event.resource_pre_event
    meta.metadata.old.outputs = {"blockPublicAcls": False}
    assert [(property.path, property.old, property.new) for property in only(event).properties] == [
        ("blockPublicAcls", False, True)
    ]


def test_unchanged_resources_are_counted_and_are_not_changes():
    recorded = account(
        step("same", old={}, new={}),
        step("read", name="other", old={"kind": "Theirs"}, new={}),
        summary(same=1, read=1),
    )
    assert (recorded.changes(Masker()), recorded.summary(), recorded.missing) == (
        [],
        {"read": 1, "same": 1},
        "",
    )


def test_a_refresh_is_not_counted_as_a_step():
    recorded = account(step("refresh", old={"a": 1}, new={"a": 2}), summary())
    assert (recorded.changes(Masker()), recorded.summary(), recorded.missing) == ([], {}, "")


def test_a_provider_change_is_reported_for_its_region_and_not_for_its_version():
    kind = "pulumi:providers:aws"
    assert account(step("update", kind, old={"version": "1"}, new={"version": "2"})).changes(Masker()) == []
    assert only(step("update", kind, old={"region": "a"}, new={"region": "b"})).op == "update"


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([step("same", old={}, new={})], "end before its summary"),
        ([], "end before its summary"),
        ([step("same", old={}, new={}), summary(same=3)], "3 to same, of which 1 were reported"),
        ([summary(delete=1)], "1 to delete, of which 0 were reported"),
    ],
    ids=["no end", "nothing", "a gap", "a gap that hides a deletion"],
)
def test_events_that_were_cut_off_are_incomplete(events: list[EngineEvent], reason: str):
    assert reason in account(*events).missing


def test_an_unknown_operation_is_a_gap():
    event = step("same", old={}, new={})
    meta: Any = event.resource_pre_event
    meta.metadata.op = "transmogrify"
    assert "transmogrify" in account(event, summary(transmogrify=1)).missing


def test_errors_are_listed_first_without_duplicates_or_secrets():
    recorded = account(
        diagnostic("warning", "using pulumi-resource-aws from $PATH at /home/me/bin"),
        diagnostic("warning", "slow"),
        diagnostic("error", "no: hunter2-hunter2"),
        diagnostic("error", "no: hunter2-hunter2"),
        diagnostic("info", "hello"),
        diagnostic("error", "gone at once", ephemeral=True),
    )
    diagnostics = recorded.diagnostics(Masker(["hunter2-hunter2"]))
    assert [(diagnostic.severity, diagnostic.message) for diagnostic in diagnostics] == [
        ("error", "no: [secret]"),
        ("warning", "slow"),
    ]


def test_a_violation_of_another_policy_pack_is_a_finding():
    event = {
        "message": "no",
        "color": "",
        "policyName": "p",
        "policyPackName": "pack",
        "policyPackVersion": "1",
        "policyPackVersionTag": "1",
        "enforcementLevel": "mandatory",
        "resourceUrn": f"{HEAD}${KEY}::it",
    }
    recorded = account(EngineEvent.from_json({"sequence": 1, "timestamp": 0, "policyEvent": event}))
    (finding,) = recorded.findings("dev", Masker())
    assert (finding.policy, finding.severity, finding.resource, finding.stack) == (
        "pack/p",
        "high",
        "it",
        "dev",
    )


def digest_of(*events: EngineEvent) -> str:
    return preview_assembly.preview(PreviewDraft("dev", changes=account(*events).changes(Masker()))).digest


def test_a_digest_covers_only_the_planned_steps():
    first = step("update", old={"a": 1}, new={"a": 2})
    second = step("create", name="other", new={"b": 1})
    assert digest_of(first, second) == digest_of(second, first)
    assert digest_of(first) != digest_of(step("update", old={"a": 1}, new={"a": 3}))
    assert digest_of(first) != digest_of(step("update", old={"a": 0}, new={"a": 2})), (
        "it was changed meanwhile"
    )
    assert digest_of(first) != digest_of(first, second)
    assert digest_of(second) != digest_of(step("create", name="other", new={"b": 2}))


@pytest.mark.parametrize("status", ["partial", "failed"])
def test_an_incomplete_preview_cannot_be_approved(status: Any):
    shown: Preview = preview_assembly.preview(PreviewDraft("dev", status=status))
    assert (shown.status, shown.digest) == (status, "")


MODEL, CONFIG = "aws:sagemaker/model:Model", "aws:sagemaker/endpointConfiguration:EndpointConfiguration"


def release(random: str) -> list[Change]:
    """A model that is made anew, under a name that its provider makes up each time that it is asked."""
    before, after = (
        {"name": f"bank-model-{end}", "image": end, "__defaults": ["name"]} for end in ("0badcafe", random)
    )
    after["image"] = "new"
    variants = [
        {"modelName": inputs["name"], "path": f"/models/{inputs['name']}/x"} for inputs in (before, after)
    ]
    return account(
        step("replace", MODEL, "bank-model", old=before, new=after),
        step("replace", CONFIG, "config", old={"variants": [variants[0]]}, new={"variants": [variants[1]]}),
        summary(replace=2),
    ).changes(Masker())


def test_references_to_generated_names_are_stable_between_previews():
    from isthmus.engine.preview.changes import digest

    first, again = release("1234567"), release("fedcba9")
    assert digest(first) == digest(again)
    [config] = [change for change in first if change.type == CONFIG]
    assert [(property.path, property.old, property.new) for property in config.properties] == [
        ("variants[0].modelName", "bank-model-0badcafe", "${bank-model.name}"),
        ("variants[0].path", "/models/bank-model-0badcafe/x", "/models/${bank-model.name}/x"),
    ]


def test_a_name_set_by_the_program_is_not_treated_as_generated():
    inputs = {"name": "bank-model-1234567"}
    [config] = [
        change
        for change in account(
            step("create", MODEL, "bank-model", new=inputs),
            step("create", CONFIG, "config", new={"modelName": "bank-model-1234567"}),
            summary(create=2),
        ).changes(Masker())
        if change.type == CONFIG
    ]
    assert config.properties[0].new == "bank-model-1234567"
