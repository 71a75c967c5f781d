"""Fixtures: the command line as a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Isthmus, command


@pytest.fixture
def isthmus(tmp_path: Path) -> Isthmus:
    return command(tmp_path / "no-home")
