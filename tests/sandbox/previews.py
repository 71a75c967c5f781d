"""What `isthmus preview` says of the bank that stands, held to what two renderings of it say."""

from __future__ import annotations

import json
from collections.abc import Sequence

from isthmus.contracts.reports.preview import Change
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
    # What stands gives the same evidence as what was asked for, but where one of the two does not know what decides.
    asked, stands = (_evidence(bank, of) for of in ("rendering", "state"))
    differ = {
        key: (said, asked.get(key))
        for key, said in stands.items()
        if said != asked.get(key) and key[0] not in KNOWN_TO_ONE
    }
    assert differ == {}, differ
    assert _known_to_both(stands) == _known_to_both(asked)


def _known_to_both(rows: dict[tuple[str, str], str]) -> set[tuple[str, str]]:
    return {key for key in rows if key[0] not in KNOWN_TO_ONE}


def _evidence(bank: Bank, of: str) -> dict[tuple[str, str], str]:
    said = json.loads(bank.isthmus("evidence", "bank-dev", "--of", of, "--format", "json").stdout)
    assert said["of"] == of
    return {(each["check"], each["urn"]): each["result"] for each in said["rows"]}


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
    bare = [each for each in compared if SECRET not in each.model_dump_json()]
    assert [each for each in shown.changes if not hides(each)] == bare
    masked = {each.urn for each in shown.changes if hides(each)}
    assert masked == {each.urn for each in compared} - {each.urn for each in bare}
    assert masked


def held_to_an_approval(bank: Bank) -> str:
    """What was approved is built; what is something else by then is not, and nothing is changed. What the run said."""
    file = bank.root / "approved.json"
    bank.must("preview", "bank-dev", "--format", "json", "-o", str(file))
    approved = json.loads(file.read_text())
    assert approved["digest"]
    before = bank.state()

    def refused(given: object, code: int, words: str) -> None:
        if isinstance(given, dict):
            (other := file.with_name("other.json")).write_text(json.dumps(given))
            given = other
        done = bank.isthmus("up", "bank-dev", "--yes", "--approved", str(given))
        assert (done.returncode, done.stdout) == (code, ""), done.stderr[-3000:]
        assert words in done.stderr
        assert "Traceback" not in done.stderr

    refused(
        {**approved, "stack": "bank-live"}, 2, "it is the preview of bank-live, and bank-dev is to be built"
    )
    refused(
        {**approved, "status": "partial", "digest": ""},
        1,
        "only a complete preview with a digest can be approved",
    )
    s3 = bank.aws("s3")
    bucket = next(each["id"] for each in before if each["type"] == "aws:s3/bucket:Bucket")
    shut = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    opened = {**shut, "BlockPublicAcls": False}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=opened)
    refused(file, 1, "nothing was changed: a fresh preview differs from the approved one")
    assert bank.state() == before
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == opened
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=shut)
    return bank.must("up", "bank-dev", "--yes", "--approved", approved["digest"])


def hides(change: Change) -> bool:
    """Whether a secret of the change was masked."""
    return any(each.secret for each in change.properties)
