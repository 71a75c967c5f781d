"""What `isthmus up` holds a stack to before it asks the engine for anything."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.findings import Silence
from isthmus.core.errors import Refused
from isthmus.engine.policy import evaluation as policy_evaluation
from isthmus.engine.project import project
from isthmus.engine.render import rendering
from isthmus.engine.render.rendering import Rendered
from isthmus.engine.run import preflight
from tests.blueprints import bank

KEY, GROUP = "aws:kms/key:Key", "aws:cloudwatch/logGroup:LogGroup"
Prepare = Callable[[Rendered], None]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """The checks of the bank's files, its program rendering to what the test says."""

    def run(rendered: Rendered) -> None:
        monkeypatch.setattr(rendering, "render", lambda stack: rendered)
        preflight.check_files(project.find_project(bank.ROOT).stack(bank.STACK), bank.platform(), print)

    return run


def test_the_bank_may_be_built(check: Prepare) -> None:
    check(bank.rendered())


def test_a_program_that_opens_a_boundary_is_refused_before_anything_is_made(check: Prepare) -> None:
    whole = bank.rendered()
    # A component that forgot the default denial of the restricted namespace.
    opened = [each for each in whole.resources if not each.name.endswith("fra1-restricted-default-deny")]
    assert len(opened) == len(whole.resources) - 1
    with pytest.raises(Refused, match=r"what is to be made breaks a boundary: .*isthmus-restricted") as told:
        check(Rendered(opened, whole.outputs))
    assert "Pulumi.bank-dev.yaml" in str(told.value)


def test_a_boundary_that_somebody_answers_for_is_no_refusal_until_the_silence_ends(
    check: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bank.rendered()
    bare = [
        replace(each, inputs={**each.inputs, "tags": {}}) if each.type == KEY else each
        for each in whole.resources
    ]
    with pytest.raises(Refused, match=r"bears no tags of the stack's \(audit/everything-is-tagged\)"):
        check(Rendered(bare, whole.outputs))
    for until in (date(9999, 1, 1), date(2000, 1, 1)):
        said = Silence(
            policy="audit/everything-is-tagged", resource="*", owner="ana", reason="tags are", until=until
        )
        monkeypatch.setattr(
            policy_evaluation, "settings", lambda stacks, said=said: Settings(silences=[said])
        )
        with contextlib.nullcontext() if until.year > 2026 else pytest.raises(Refused, match="is past"):
            check(Rendered(bare, whole.outputs))


def test_a_medium_finding_that_is_no_boundary_keeps_nothing_from_being_built(check: Prepare) -> None:
    whole = bank.rendered()
    kept = [
        replace(each, inputs={**each.inputs, "retentionInDays": 1}) if each.type == GROUP else each
        for each in whole.resources
    ]
    assert kept != whole.resources
    check(Rendered(kept, whole.outputs))
