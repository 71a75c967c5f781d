"""Generated requirements of ten industries: each plans and renders, or `plan` names every mistake and every way out."""

from __future__ import annotations

import pytest

from isthmus.blueprints import trial
from isthmus.blueprints.offers import offers
from isthmus.contracts.requirements import document as requirements_of
from isthmus.core import yaml_files
from isthmus.core.errors import InputError, IsthmusError, Refused
from isthmus.planning import planner
from isthmus.planning.options import candidates
from sandbox import sample_settings
from tests.generated_requirements import INDUSTRIES, Generated, generate

FILES = 60
FEW = range(0, FILES, 10)
"""Those that `make test` tries; the soak tries all."""


def errors(error: IsthmusError) -> list[IsthmusError]:
    return [error, *(found for other in error.others for found in errors(other))]


def check(made: Generated) -> str:
    """Plan as `isthmus plan` does; what came of it."""
    document = yaml_files.loads(yaml_files.dumps(made.data), "r.yaml")
    if made.mistakes:
        with pytest.raises(InputError) as caught:
            requirements_of.parse(document, candidates.catalogue_faults)
        places = [error.where.partition(" ")[2] for error in errors(caught.value)]
        assert set(made.mistakes) <= set(places), "a mistake is not named"
        assert all(error.fix or error.what for error in errors(caught.value))
        return "mistakes"
    requirements = requirements_of.parse(document, candidates.catalogue_faults)
    try:
        plan = planner.make_plan(requirements, offers(), "2026-11-25").plan
    except Refused as error:
        return "refused" if error.fix else "refused without a fix"
    if not plan.feasible:
        assert plan.conflicts, "an infeasible plan says what conflicts"
        return "infeasible"
    faults = trial.render_faults(requirements, plan, sample_settings.sample_value_source)
    assert all(fault.error.fix and fault.line for fault in faults), faults
    return "faults" if faults else "rendered"


@pytest.mark.parametrize("seed", FEW)
def test_a_few_plan_and_render_or_name_every_mistake(seed: int):
    assert check(generate(seed)) in ("rendered", "mistakes", "infeasible", "faults")


@pytest.mark.soak
def test_all_plan_and_render_or_name_every_mistake():
    outcomes = [(generate(seed).industry, check(generate(seed))) for seed in range(FILES)]
    assert {industry for industry, _ in outcomes} == set(INDUSTRIES)
    found = [outcome for _, outcome in outcomes]
    assert found.count("mistakes") == FILES // 3
    assert found.count("rendered") >= FILES // 3, f"the generator proves little: {found}"
    print({outcome: found.count(outcome) for outcome in sorted(set(found))})
