"""What was assembled a moment ago is not assembled again, and what has changed since is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from isthmus import blueprints
from isthmus.blueprints import rendering
from isthmus.core import file_cache
from tests.blueprints import bank


@pytest.fixture
def stacks(tmp_path: Path) -> Path:
    shutil.copy(bank.ROOT / "images.lock.yaml", tmp_path)
    folder = tmp_path / "stacks"
    folder.mkdir()
    for part in ("requirements", "plan"):
        shutil.copy(bank.ROOT / "stacks" / f"{bank.STACK}.{part}.yaml", folder)
    return folder


def assembled(stacks: Path, **more):
    return blueprints.platform(stacks, bank.STACK, {**bank.overrides(), **more}, sandbox=True)


def test_the_same_files_and_overrides_are_one_platform_read_once(stacks, monkeypatch):
    first = assembled(stacks)
    monkeypatch.setattr(rendering, "render", lambda *_: pytest.fail("it was rendered again"))
    assert assembled(stacks) is first


def test_changed_overrides_files_or_lock_are_read_again(stacks):
    first = assembled(stacks)
    assert assembled(stacks, tags={"team": "llm"}).tags["team"] == "llm"
    assert assembled(stacks).tags == first.tags
    for file in (stacks / f"{bank.STACK}.plan.yaml", stacks.parent / "images.lock.yaml"):
        before = assembled(stacks)
        os.utime(file, ns=(1, 1))
        assert assembled(stacks) is not before


def test_a_cached_file_is_not_changed_through_a_returned_mapping(stacks):
    overrides = bank.overrides()
    blueprints.platform(stacks, bank.STACK, overrides, sandbox=True)
    overrides["tags"] = {"team": "llm"}
    assert blueprints.platform(stacks, bank.STACK, overrides, sandbox=True).tags["team"] == "llm"


def test_a_fault_is_never_cached():
    def fail() -> int:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            file_cache.once("tried", 1, fail)
    assert file_cache.once("tried", 1, lambda: 3) == 3
