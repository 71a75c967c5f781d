"""Checks of `isthmus up` before it starts the engine."""

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


def test_the_bank_passes_the_preflight_check(check: Prepare) -> None:
    check(bank.rendered())


def test_a_program_that_opens_a_boundary_is_refused_before_anything_is_created(check: Prepare) -> None:
    rendered = bank.rendered()
    # A component that forgot the default denial of the restricted namespace.
    opened = [
        resource
        for resource in rendered.resources
        if not resource.name.endswith("fra1-restricted-default-deny")
    ]
    assert len(opened) == len(rendered.resources) - 1
    with pytest.raises(Refused, match=r"the platform would break a boundary: .*isthmus-restricted") as caught:
        check(Rendered(opened, rendered.outputs))
    assert "Pulumi.bank-dev.yaml" in str(caught.value)


def test_a_silenced_boundary_is_not_refused_until_the_silence_ends(
    check: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = bank.rendered()
    bare = [
        replace(resource, inputs={**resource.inputs, "tags": {}}) if resource.type == KEY else resource
        for resource in rendered.resources
    ]
    with pytest.raises(
        Refused, match=r"bears no tags of the stack's \(audit/everything-is-tagged\)"
    ) as caught:
        check(Rendered(bare, rendered.outputs))
    count = sum(resource.type == KEY for resource in bare)
    assert f"{count} resources (" in caught.value.what
    assert caught.value.what.count(KEY) == 1
    assert caught.value.fix == "Create the resource in the stack's program, which tags everything"
    for until in (date(9999, 1, 1), date(2000, 1, 1)):
        silence = Silence(
            policy="audit/everything-is-tagged", resource="*", owner="ana", reason="tags are", until=until
        )
        monkeypatch.setattr(
            policy_evaluation, "settings", lambda stacks, silence=silence: Settings(silences=[silence])
        )
        with contextlib.nullcontext() if until.year > 2026 else pytest.raises(Refused, match="has expired"):
            check(Rendered(bare, rendered.outputs))


def test_a_medium_finding_does_not_block_the_deployment(check: Prepare) -> None:
    rendered = bank.rendered()
    remaining = [
        replace(resource, inputs={**resource.inputs, "retentionInDays": 1})
        if resource.type == GROUP
        else resource
        for resource in rendered.resources
    ]
    assert remaining != rendered.resources
    check(Rendered(remaining, rendered.outputs))
