"""What `isthmus up` holds a stack to before it asks the engine for anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from isthmus.contracts.errors import AnswerIsNo
from isthmus.engine import preflight, project, render
from isthmus.engine.render import Rendered
from tests.catalogue import bank

Prepare = Callable[[Rendered], None]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """The checks of the bank's files, its program rendering to what the test says."""

    def run(rendered: Rendered) -> None:
        monkeypatch.setattr(render, "render", lambda stack: rendered)
        preflight.of_files(project.find(bank.ROOT).stack(bank.STACK), bank.platform(), print)

    return run


def test_the_bank_may_be_built(check: Prepare) -> None:
    check(bank.rendered())


def test_a_program_that_opens_a_boundary_is_refused_before_anything_is_made(check: Prepare) -> None:
    whole = bank.rendered()
    # A component that forgot the default denial of the restricted namespace.
    opened = [each for each in whole.resources if not each.name.endswith("fra1-restricted-default-deny")]
    assert len(opened) == len(whole.resources) - 1
    with pytest.raises(
        AnswerIsNo, match=r"what is to be made breaks a boundary: .*isthmus-restricted"
    ) as told:
        check(Rendered(opened, whole.outputs))
    assert "Pulumi.bank-dev.yaml" in str(told.value)
