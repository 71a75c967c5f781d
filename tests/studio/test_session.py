"""A session of the studio: undo, and saving that overwrites nothing that somebody else changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.blueprints import starters
from isthmus.core.errors import InputError, Refused
from isthmus.studio.session import Session


@pytest.fixture
def session(tmp_path: Path) -> Session:
    file = tmp_path / "hospital.requirements.yaml"
    file.write_text(starters.text("hospital"))
    return Session.open(file)


def test_nothing_is_written_before_save(session: Session):
    before = session.path.read_text()
    session.set(("planning", "headroom"), 0.5)
    assert session.is_changed
    assert session.path.read_text() == before
    assert session.save(None) == [str(session.path)]
    assert session.path.read_text() == session.text
    assert not session.is_changed
    assert session.save(None) == [], "an unchanged draft was written again"


def test_edits_are_undone_and_done_again(session: Session):
    texts = [session.text]
    for value in (0.4, 0.5):
        session.set(("planning", "headroom"), value)
        texts.append(session.text)
    session.undo()
    assert session.text == texts[1]
    session.undo()
    assert (session.text, session.can_undo, session.is_changed) == (texts[0], False, False)
    session.redo()
    session.redo()
    assert (session.text, session.can_redo) == (texts[2], False)
    session.undo()
    session.set(("planning", "headroom"), 0.1)
    assert not session.can_redo, "an edit after an undo leaves nothing to do again"


def test_a_file_that_somebody_else_changed_is_not_overwritten(session: Session):
    session.set(("planning", "headroom"), 0.5)
    theirs = session.path.read_text().replace("my-hospital", "their-hospital")
    session.path.write_text(theirs)
    with pytest.raises(Refused, match="changed by somebody else"):
        session.save("plan: mine\n")
    assert session.path.read_text() == theirs
    assert not session.path.with_name("hospital.plan.yaml").exists(), "half of it was written"
    session.load()
    assert session.text == theirs
    session.undo()
    assert "headroom: 0.5" in session.text, "the draft was lost"


def test_a_plan_that_somebody_else_made_meanwhile_is_not_overwritten(session: Session):
    session.set(("planning", "headroom"), 0.5)
    before, plan = session.path.read_text(), session.path.with_name("hospital.plan.yaml")
    plan.write_text("isthmus: v1\n")
    with pytest.raises(Refused, match=r"hospital\.plan\.yaml was changed"):
        session.save("plan: mine\n")
    assert (plan.read_text(), session.path.read_text()) == ("isthmus: v1\n", before)


def test_a_plan_is_saved_beside_its_requirements_only(tmp_path: Path):
    file = tmp_path / "needs.yaml"
    file.write_text(starters.text("hospital"))
    session = Session.open(file)
    with pytest.raises(InputError, match=r"ends with \.requirements\.yaml"):
        session.save("plan: mine\n")


def test_text_that_is_no_yaml_is_kept_as_the_draft(session: Session):
    session.replace("workloads: [\n")
    assert session.data is None
    session.undo()
    assert session.data is not None


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="there is no such file"):
        Session.open(tmp_path / "none.requirements.yaml")
