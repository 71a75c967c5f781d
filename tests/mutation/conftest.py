"""Fixture: the graders' renderings, once per run, as stacks for operators."""

from __future__ import annotations

import pytest

from tests.graders.conftest import rendered
from tests.graders.examples import Rendering
from tests.mutation import stacks
from tests.mutation.stacks import Stack

__all__ = ["rendered"]


@pytest.fixture(scope="session")
def all_stacks(rendered: dict[str, Rendering]) -> list[Stack]:
    """Every stack; nobody writes into one."""
    return [stacks.read(each) for each in rendered.values()]
