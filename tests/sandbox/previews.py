"""What `isthmus preview` says of the bank that stands, held to what two renderings of it say."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.contracts.preview import Change
from isthmus.engine import comparing
from isthmus.engine.recorder import Resource
from tests.sandbox.bank_up import Bank

SECRET = "hunter2-0123456789abcdef"
"""Of the stack's configuration, in an address that is none's secret by its kind."""


def nothing_to_change(bank: Bank) -> None:
    shown = bank.previewed()
    assert shown.status == "complete", shown.diagnostics
    assert shown.changes == []
    assert set(shown.summary) <= {"same", "read"}
    assert shown.data_paths.before == shown.data_paths.after
    assert shown.cost.before == shown.cost.after
    assert shown.capacity.before == shown.capacity.after


def held_to_a_comparison(bank: Bank, was: Sequence[Resource]) -> None:
    """The engine's events give the same changes as two renderings, in which nothing was asked, and hide the secret.

    `was`: as the bank was rendered before its settings were changed.
    """
    with bank.kept_settings():
        bank.edit("Pulumi.bank-dev.yaml", r"cost: \[", f"cost: [{SECRET}@bank.example, ")
        assert bank.pulumi("config", "set", "--secret", "bank:token", SECRET).returncode == 0
        shown = bank.previewed()
        compared = comparing.compare(was, bank.rendered())
    assert shown.status == "complete", shown.diagnostics
    assert SECRET not in shown.model_dump_json()
    bare = [each for each in compared if SECRET not in each.model_dump_json()]
    assert [each for each in shown.changes if not hides(each)] == bare
    masked = {each.urn for each in shown.changes if hides(each)}
    assert masked == {each.urn for each in compared} - {each.urn for each in bare}
    assert masked


def hides(change: Change) -> bool:
    """Whether a secret of the change was masked."""
    return any(each.secret for each in change.properties)
