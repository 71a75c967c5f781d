"""What is rendered is as the samples of the fixed interfaces say: bytes, URNs, commands, ConfigMaps, descriptions."""

from __future__ import annotations

import pytest

from tests.fixed_interfaces import tables
from tests.fixed_interfaces.samples import RENDERED
from tests.graders.examples import Rendering


@pytest.mark.parametrize("name", RENDERED)
def test_the_rendering_equals_its_sample(name: str, rendered: dict[str, Rendering]):
    folder = next(iter(rendered.values())).folder.parent
    lines = tables.differences(tables.read(name), RENDERED[name](folder))
    assert not lines, tables.complaint(name, lines)
