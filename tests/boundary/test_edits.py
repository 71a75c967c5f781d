"""No edit of a platform that opens a path passes: a seeded sample of all fields with all foreign values.

python -m pytest tests/boundary                 # 100 of them
make soak                                       # 2,000
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.boundary import edits as edits_module
from tests.boundary import outcomes, reach
from tests.boundary.edits import ADDRESS, Edit, edits, sample
from tests.boundary.outcomes import PLATFORMS, opened_by, outcome
from tests.components import fargate

RANGE = f"{ADDRESS}0/24"


def all_edits() -> list[Edit]:
    return [edit for name, platform in PLATFORMS.items() for edit in edits(name, platform())]


@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.soak)])
def test_no_edit_that_opens_a_path_passes(count: int):
    results = [(str(edit), outcome(edit)) for edit in sample(all_edits(), count, "edits")]
    assert {edit: result.opened for edit, result in results if result.opened and not result.refused} == {}
    refused = {result.refused for _, result in results}
    assert "" in refused
    assert len(refused) > 1  # each way to refuse has a test of its own below


WAYS = {
    "values": Edit("bank", ("sites", 0, "cidrs"), [RANGE]),
    "ci": Edit(
        "fargate", ("gateways", 0, "fargate", "principals"), [f"arn:aws:iam::{fargate.ACCOUNT}:role/app"]
    ),
    "contract": Edit("bank", ("links", 0, "site_dns"), ["8.8.8.8"]),
}


@pytest.mark.parametrize("refused", WAYS)
def test_a_known_way_out_is_refused_by_the_fence_that_sees_it_first(refused: str):
    assert outcome(WAYS[refused]).refused == refused


def test_an_edit_that_nothing_refuses_is_reported_with_what_it_opens(monkeypatch: pytest.MonkeyPatch):
    assert opened_by(WAYS["values"])
    monkeypatch.setattr(outcomes, "judge", lambda *_, **__: [])
    monkeypatch.setattr(outcomes.relaxed_trust, "stated_changes", lambda *_: [])
    result = outcome(WAYS["values"])
    assert result.refused == ""
    assert result.opened == opened_by(WAYS["values"])


def test_what_an_edit_opens_is_worked_out_without_the_graph_and_the_rules():
    for module in (reach, edits_module):
        text = Path(str(module.__file__)).read_text()
        assert not re.search(r"^\s*(from|import) (isthmus\.graph|policies)", text, re.M)


def test_every_list_and_text_of_the_platform_is_edited():
    paths = {".".join(part for part in edit.path if isinstance(part, str)) for edit in all_edits()}
    for path in ("sites.cidrs", "gateways.destinations.cidr", "images.registries", "audit.bucket"):
        assert path in paths
    assert len(paths) > 150
