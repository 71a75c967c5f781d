"""Requirements of ten industries with keys left out: each stack renders, or `isthmus plan` has named every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.core import yaml_files
from tests.cli.generated import requirements_data

AS_OF = ("--as-of", "2026-11-25")
FEW = (8, 33, 34, 73)
"""Seeds of each kind of plan that renders: on-prem, Fargate, EKS, both."""


def begin(isthmus, folder: Path, seed: int):
    industry, data = requirements_data(seed)
    file = folder / f"{industry}-{seed}.requirements.yaml"
    file.write_text(yaml_files.dumps(data))
    return file, isthmus("plan", file, *AS_OF)


def check_seed(isthmus, project: Path, seed: int) -> str:
    """What becomes of a seed: `infeasible`, `mistakes` or `rendered`. Fails if `render` finds what `plan` has not."""
    file, planned = begin(isthmus, project, seed)
    assert planned.code in (0, 1), planned.err
    if planned.out.startswith("infeasible"):
        return "infeasible"
    begun = isthmus("init", f"s{seed}", "--requirements", file, "--sandbox", "--project", project, *AS_OF)
    if planned.code == 1:
        assert f"isthmus: {file}:" in planned.err, "a mistake has no file and line"
        assert begun.code != 0, "init does not refuse what plan has named"
        return "mistakes"
    assert begun.code == 0, begun.err
    rendered = isthmus("render", f"s{seed}", "--project", project, "-o", project / "out" / str(seed))
    assert rendered.code == 0, f"plan has not named this: {rendered.err[-2000:]}"
    return "rendered"


@pytest.mark.parametrize("seed", FEW)
def test_a_plan_without_mistakes_renders(isthmus, project, seed):
    assert check_seed(isthmus, project, seed) == "rendered"


@pytest.mark.soak
def test_sixty_files_render_or_have_all_their_mistakes_named(isthmus, project):
    outcomes = [check_seed(isthmus, project, seed) for seed in range(60)]
    assert outcomes.count("rendered") >= 20
    assert outcomes.count("mistakes") >= 20
