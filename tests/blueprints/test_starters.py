"""Starters: commented requirements of six industries that can be used as they are."""

from __future__ import annotations

import pytest

from isthmus.blueprints import starters, trial
from isthmus.blueprints.offers import offers
from isthmus.contracts import json_schemas
from isthmus.contracts.requirements import document as requirements_of
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from isthmus.planning import planner
from isthmus.planning.options import candidates
from sandbox import sample_settings

INDUSTRIES = ["bank", "hospital", "insurer", "manufacturer", "public-office", "software-vendor"]


def test_there_is_a_starter_for_each_of_six_industries():
    assert [starter.industry for starter in starters.starters()] == INDUSTRIES
    assert all(
        starter.summary.startswith("A") and starter.summary.endswith(".") for starter in starters.starters()
    )


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_a_starter_is_planned_and_its_platform_lacks_nothing(industry: str):
    document = yaml_files.loads(starters.text(industry), f"{industry}.requirements.yaml")
    requirements = requirements_of.parse(document, candidates.catalogue_faults)
    plan = planner.make_plan(requirements, offers(), "2026-11-25").plan
    assert plan.feasible
    assert trial.render_faults(requirements, plan, sample_settings.sample_value_source) == []
    assert all(workload.languages for workload in requirements.workloads), "languages are not stated"


def test_the_starters_are_planned_for_several_blueprints():
    plans = {}
    for industry in INDUSTRIES:
        requirements = requirements_of.parse(yaml_files.loads(starters.text(industry), "r.yaml"))
        plans[industry] = planner.make_plan(requirements, offers(), "2026-11-25").plan.blueprint
    assert {"cloud-managed", "cloud-private", "sovereign", "burst-hybrid"} <= set(plans.values())


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_each_key_is_explained_once_by_the_words_of_the_schema(industry: str):
    text = starters.text(industry)
    comments = " ".join(
        line.strip().removeprefix("# ") for line in text.splitlines() if line.strip().startswith("#")
    )
    used = {
        key
        for part in json_schemas.parts(json_schemas.schema("requirements")).values()
        for key, value in part["properties"].items()
        if value["description"] in comments
    }
    written = {str(path[-1]) for path in yaml_files.loads(text).key_lines}
    precisions_and_gpus = {key for key in written if key in ("api", "bf16", "fp8", "mxfp4", "h100-sxm-80gb")}
    assert written - precisions_and_gpus <= used, f"not explained: {written - precisions_and_gpus - used}"
    assert comments.count("Requests a second in the busiest minutes of a month.") == 1


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_comments_change_nothing_and_stay_readable(industry: str):
    source = (starters.FOLDER / f"{industry}.requirements.yaml").read_text("utf-8")
    text = starters.text(industry)
    assert yaml_files.loads(text).data == yaml_files.loads(source).data
    assert max(map(len, text.splitlines())) <= 125


def test_an_unknown_industry_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="Did you mean `hospital`"):
        starters.text("hospitals")
