"""Every stack and every example, and so every blueprint: no rule of the pack finds anything."""

from __future__ import annotations

import pytest

from policies.evaluation.evaluation import judge
from tests.graders import examples


@pytest.mark.parametrize("name", examples.names())
def test_the_policies_find_nothing_in_it(rendered, name: str) -> None:
    findings = judge(rendered[name].resources, rendered[name].stack.platform())
    assert [f"{finding.policy}: {finding.message}" for finding in findings] == []
