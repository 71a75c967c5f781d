"""What `isthmus preview` says of the bank that stands, held to what two renderings of it say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isthmus.contracts.reports.preview import Change, Preview
from isthmus.engine.preview import comparison as preview_comparison
from isthmus.engine.render.recorder import Resource
from tests.sandbox.bank_up import Bank

SECRET = "hunter2-0123456789abcdef"
"""Of the stack's configuration, in an address that is none's secret by its kind."""

KNOWN_TO_ONE = {
    "identity/our-accounts",  # a rendering has no account's number
    # The platform that a state tells of itself does not say these of its models.
    "release/weights-from-their-place",
    "release/adapters-stated",
    "release/precision-stated",
    "reliability/spread-by-force",
}


def nothing_to_change(bank: Bank) -> None:
    shown = bank.previewed()
    assert shown.status == "complete", shown.diagnostics
    assert shown.changes == []
    assert set(shown.summary) <= {"same", "read"}
    assert shown.data_paths.before == shown.data_paths.after
    assert shown.cost.before == shown.cost.after
    assert shown.capacity.before == shown.capacity.after


def same_evidence(bank: Bank) -> None:
    """What is deployed gives the same evidence as what was rendered, where both know what decides.

    A state resolves the ARN of a role that a rendering writes by its name, so more is in reach there. That must hold.
    """
    rendered, deployed = (_evidence(bank, of) for of in ("rendering", "state"))
    differ = {
        key: (result, rendered.get(key))
        for key, result in deployed.items()
        if result != rendered.get(key, "holds") and key[0] not in KNOWN_TO_ONE
    }
    assert differ == {}, differ
    assert _known_to_both(rendered) <= _known_to_both(deployed)


def _known_to_both(rows: dict[tuple[str, str], str]) -> set[tuple[str, str]]:
    return {key for key in rows if key[0] not in KNOWN_TO_ONE}


def _evidence(bank: Bank, of: str) -> dict[tuple[str, str], str]:
    document = json.loads(bank.isthmus("evidence", "bank-dev", "--of", of, "--format", "json").stdout)
    assert document["of"] == of
    return {(row["check"], row["urn"]): row["result"] for row in document["rows"]}


def held_to_a_comparison(bank: Bank, was: Sequence[Resource]) -> None:
    """The engine's events give the same changes as two renderings, in which nothing was asked, and hide the secret.

    `was`: as the bank was rendered before its settings were changed.
    """
    with bank.kept_settings():
        bank.edit("Pulumi.bank-dev.yaml", r"cost: \[", f"cost: [{SECRET}@bank.example, ")
        assert bank.pulumi("config", "set", "--secret", "bank:token", SECRET).returncode == 0
        shown = bank.previewed()
        compared = preview_comparison.compare(was, bank.rendered())
    assert shown.status == "complete", shown.diagnostics
    assert SECRET not in shown.model_dump_json()
    bare = [entry for entry in compared if SECRET not in entry.model_dump_json()]
    assert [change for change in shown.changes if not hides(change)] == bare
    masked = {change.urn for change in shown.changes if hides(change)}
    assert masked == {resource.urn for resource in compared} - {resource.urn for resource in bare}
    assert masked


def built_as_approved(bank: Bank, was: Sequence[Resource]) -> str:
    """Build what a preview shows; what the run said.

    The preview gives the same changes as two renderings; `was`: as the bank was rendered before.
    """
    file, approved = _approval(bank)
    assert Preview.model_validate_json(file.read_text()).changes == preview_comparison.compare(
        was, bank.rendered()
    )
    return bank.must("up", "bank-dev", "--yes", "--approved", approved["digest"])


def refused_as_approved(bank: Bank) -> None:
    """What is something else by now than was approved is not built, and nothing is changed."""
    file, approved = _approval(bank)
    before = bank.state()

    def refused(values: object, code: int, fragments: str) -> None:
        if isinstance(values, dict):
            (other := file.with_name("other.json")).write_text(json.dumps(values))
            values = other
        done = bank.isthmus("up", "bank-dev", "--yes", "--approved", str(values))
        assert (done.returncode, done.stdout) == (code, ""), done.stderr[-3000:]
        assert fragments in done.stderr
        assert "Traceback" not in done.stderr

    refused(
        {**approved, "stack": "bank-live"},
        2,
        "it is the preview of bank-live, but the command is for bank-dev",
    )
    refused(
        {**approved, "status": "partial", "digest": ""},
        1,
        "only a complete preview with a digest can be approved",
    )
    s3 = bank.aws("s3")
    bucket = next(resource["id"] for resource in before if resource["type"] == "aws:s3/bucket:Bucket")
    shut = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    opened = {**shut, "BlockPublicAcls": False}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=opened)
    refused(file, 1, "nothing was changed: a fresh preview differs from the approved one")
    assert bank.state() == before
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == opened
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=shut)


def _approval(bank: Bank) -> tuple[Path, dict[str, Any]]:
    """The file of a preview, and what it holds."""
    file = bank.root / "approved.json"
    bank.must("preview", "bank-dev", "--format", "json", "-o", str(file))
    approved = json.loads(file.read_text())
    assert approved["digest"]
    return file, approved


def hides(change: Change) -> bool:
    """Whether a secret of the change was masked."""
    return any(prop.secret for prop in change.properties)
