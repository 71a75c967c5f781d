"""`isthmus starter`: a file to start from, from which a stack is rendered without edits."""

from __future__ import annotations

import pytest

from isthmus.blueprints import starters

AS_OF = ("--as-of", "2026-11-25")


def test_without_an_industry_the_starters_are_listed(isthmus):
    result = isthmus("starter")
    assert result.code == 0
    assert [line.split()[0] for line in result.out.splitlines()] == [
        starter.industry for starter in starters.starters()
    ]


def test_a_starter_is_printed_or_written_and_overwrites_nothing(isthmus, tmp_path):
    file = tmp_path / "hospital.requirements.yaml"
    printed = isthmus("starter", "hospital")
    assert isthmus("starter", "hospital", "-o", file).code == 0
    assert file.read_text() == printed.out
    again = isthmus("starter", "bank", "-o", file)
    assert (again.code, file.read_text()) == (2, printed.out)
    assert "the file already exists" in again.err


def test_an_unknown_industry_exits_2_with_the_known_ones(isthmus):
    result = isthmus("starter", "banc")
    assert result.code == 2
    assert "Did you mean `bank`? Known: bank, hospital" in result.err


@pytest.mark.parametrize("industry", [starter.industry for starter in starters.starters()])
def test_a_starter_plans_and_renders_as_it_is(isthmus, project, tmp_path, industry):
    file = tmp_path / f"{industry}.requirements.yaml"
    assert isthmus("starter", industry, "-o", file).code == 0
    planned = isthmus("plan", file, *AS_OF)
    assert planned.code == 0, planned.err
    assert "languages" not in planned.err
    begun = isthmus("init", "fresh", "--requirements", file, "--sandbox", "--project", project, *AS_OF)
    assert begun.code == 0, begun.err
    rendered = isthmus("render", "fresh", "--project", project, "-o", tmp_path / "out")
    assert rendered.code == 0, rendered.err
