"""Every stack and every example, and so every blueprint: no rule of the pack finds anything."""

from __future__ import annotations

import pytest

from isthmus.engine.project import project
from isthmus.engine.render import rendering
from policies.evaluation.evaluation import judge
from tests.graders import examples


@pytest.mark.parametrize("name", examples.names())
def test_the_policies_find_nothing_in_it(rendered, name: str) -> None:
    stack = project.find_project(rendered[name].folder.parent / ".project").stack(name)
    findings = judge(rendering.render(stack).resources, stack.platform())
    assert [f"{finding.policy}: {finding.message}" for finding in findings] == []
