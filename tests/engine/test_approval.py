"""Approvals: a digest or a preview file, and how a different preview is described."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.reports.preview import Change, Op, Preview, PropertyChange
from isthmus.core.errors import InputError, Refused
from isthmus.engine.preview.changes import digest
from isthmus.engine.run import approval

HEX = "0123456789abcdef" * 4
KIND = "kubernetes:apps/v1:Deployment"


def change(name: str, op: Op = "update", **new: Any) -> Change:
    property_changes = [PropertyChange(path=path, old=1, new=value) for path, value in new.items()]
    return Change(
        urn=f"urn:pulumi:dev::isthmus::{KIND}::{name}", op=op, type=KIND, properties=property_changes
    )


def preview(*changes: Change, stack: str = "dev", **more: Any) -> Preview:
    fields = {"status": "complete", "digest": digest(changes), **more}
    return Preview(stack=stack, changes=list(changes), **fields)


def written(folder: Path, *previews: Preview) -> str:
    file = folder / "preview.json"
    dumped = [one_preview.model_dump(mode="json", by_alias=True) for one_preview in previews]
    file.write_text(json.dumps(dumped[0] if len(dumped) == 1 else dumped))
    return str(file)


@pytest.mark.parametrize("text", [HEX, f"sha256:{HEX}"])
def test_a_digest_approves_a_single_stack_only(text: str):
    assert approval.parse_approvals(text, ["dev"])["dev"].digest == f"sha256:{HEX}"
    with pytest.raises(InputError, match="a digest approves one stack, but 2 stacks were given"):
        approval.parse_approvals(text, ["dev", "live"])


@pytest.mark.parametrize("text", ["", HEX[:-1], f"sha512:{HEX}", f"sha256:{HEX.upper()}", "no-such-file"])
def test_an_approval_must_be_a_digest_or_a_file(text: str):
    with pytest.raises(InputError, match="neither a digest"):
        approval.parse_approvals(text, ["dev"])


def test_a_preview_file_is_read_with_the_approved_changes(tmp_path: Path):
    approved = preview(change("one", replicas=2))
    dev = approval.parse_approvals(written(tmp_path, approved), ["dev"])["dev"]
    assert dev.differs(approved) == ""
    assert approval.reread_approval(dev.file, "dev", dev.digest) == dev


def test_a_preview_file_may_hold_several_stacks_in_any_order(tmp_path: Path):
    file = written(tmp_path, preview(stack="b"), preview(stack="a"))
    assert set(approval.parse_approvals(file, ["a", "b"])) == {"a", "b"}


@pytest.mark.parametrize("names", [["live"], ["dev", "live"], []])
def test_a_preview_file_of_other_stacks_is_invalid_input(tmp_path: Path, names: list[str]):
    with pytest.raises(InputError, match="it is the preview of dev"):
        approval.parse_approvals(written(tmp_path, preview()), names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, r"the file is not JSON \(") for text in ("", "{", "[]]", "\x00")),
        *((text, "not a preview of this version") for text in ('{"stack": "dev"}', '{"stack": 1}', "3")),
    ],
)
def test_a_file_that_is_not_a_preview_is_invalid_input(tmp_path: Path, text: str, message: str):
    (tmp_path / "it").write_text(text)
    with pytest.raises(InputError, match=message):
        approval.parse_approvals(str(tmp_path / "it"), ["dev"])


@pytest.mark.parametrize("status", ["partial", "failed"])
def test_an_incomplete_preview_cannot_be_approved(tmp_path: Path, status: str):
    for digest_text in ("", f"sha256:{HEX}"):
        file = written(tmp_path, preview(status=status, digest=digest_text))
        with pytest.raises(Refused, match=f"but this one is {status}"):
            approval.parse_approvals(file, ["dev"])


def test_a_complete_preview_without_a_digest_cannot_be_approved(tmp_path: Path):
    with pytest.raises(Refused, match="can be approved"):
        approval.parse_approvals(written(tmp_path, preview(digest="")), ["dev"])


def test_a_preview_file_that_was_edited_by_hand_is_invalid_input(tmp_path: Path):
    shown = preview(change("one", replicas=2))
    forged = shown.model_copy(update={"changes": [change("one", replicas=3)]})
    with pytest.raises(InputError, match="its digest does not match the changes in it"):
        approval.parse_approvals(written(tmp_path, forged), ["dev"])


def test_a_preview_that_compares_commits_is_no_approval(tmp_path: Path):
    with pytest.raises(InputError, match="compares two commits"):
        approval.parse_approvals(written(tmp_path, preview(baseline="commit")), ["dev"])


def test_a_preview_file_that_changes_while_it_is_read_is_refused(tmp_path: Path):
    dev = approval.parse_approvals(written(tmp_path, preview()), ["dev"])["dev"]
    written(tmp_path, preview(change("one", replicas=2)))
    with pytest.raises(
        InputError, match=r"changed while it was read\. Fix: Check that the file is still the preview"
    ):
        approval.reread_approval(dev.file, "dev", dev.digest)


def test_with_a_preview_file_a_refusal_lists_new_gone_and_different_changes(tmp_path: Path):
    before = preview(
        change("gone", "delete"), change("other", replicas=2, image="a"), change("same", replicas=2)
    )
    now = preview(change("new", "create"), change("other", replicas=3, image="a"), change("same", replicas=2))
    dev = approval.parse_approvals(written(tmp_path, before), ["dev"])["dev"]
    assert dev.differs(now) == (
        "new: create Deployment new; gone: delete Deployment gone; different: update of Deployment other (replicas)"
    )


def test_another_operation_on_an_approved_resource_is_a_difference():
    before, now = [change("one", replicas=2)], [change("one", "replace", replicas=2)]
    assert approval.describe_differences(before, now) == "different: update of Deployment one is now replace"


def test_with_a_digest_a_refusal_summarises_the_fresh_preview():
    dev = approval.parse_approvals(HEX, ["dev"])["dev"]
    now = preview(*(change(f"n{index}", "create") for index in range(7)), change("old", "delete"))
    differs = dev.differs(now)
    assert differs.startswith(
        f"the digest of a fresh preview is {now.digest}: 1 to delete, 7 to create: create Deployment n0, "
    )
    assert differs.endswith("and 3 more")
    assert dev.differs(preview()).endswith("no changes")


def test_control_characters_in_names_are_escaped_before_printing(tmp_path: Path):
    dev = approval.parse_approvals(
        written(tmp_path, preview(change("\x1b[2Jsame \u202e", "delete"))), ["dev"]
    )["dev"]
    differs = dev.differs(preview())
    assert differs == "gone: delete Deployment \\u001b[2Jsame \\u202e"


@pytest.mark.parametrize(
    ("approved", "step"),
    [
        ("delete", "create"),
        ("update", "delete"),
        ("update", "replace"),
        ("create", "delete"),
        ("read", "update"),
    ],
)
def test_a_step_that_does_more_than_was_approved_is_reported(approved: Op, step: Op):
    assert approval.changes_beyond([change("one", approved)], [change("one", step)]) == [
        f"{step} Deployment one"
    ]


@pytest.mark.parametrize(
    ("approved", "step"),
    [
        ("delete", "update"),
        ("create", "create"),
        ("create", "update"),
        ("replace", "create"),
        ("update", "update"),
    ],
)
def test_a_step_may_do_less_to_a_resource_than_was_approved(approved: Op, step: Op):
    assert approval.changes_beyond([change("one", approved)], [change("one", step)]) == []


def test_a_step_on_an_unapproved_resource_is_reported():
    assert approval.changes_beyond([change("one")], [change("one"), change("two")]) == [
        "update Deployment two"
    ]
