"""Nothing escapes the graders: every blueprint of the catalogue has a rendering."""

from __future__ import annotations

import pytest

from isthmus import blueprints
from tests.graders import examples, manifests

NAMES = examples.names()


def test_every_blueprint_of_the_catalogue_is_graded(rendered):
    graded = {each.blueprint for each in rendered.values()}
    missing = {each.name for each in blueprints.blueprints()} - graded
    assert not missing, f"no example in examples/ and no stack in stacks/ is planned for {sorted(missing)}"


@pytest.mark.parametrize("name", NAMES)
def test_a_rendering_has_something_to_grade(rendered, name: str):
    assert rendered[name].manifests or rendered[name].aws


def test_every_chart_whose_pods_nobody_here_sees_is_named(rendered):
    charts = {
        (body["metadata"]["name"], name)
        for name, each in rendered.items()
        for body in manifests.read(each.manifests)
        if body["apiVersion"] == manifests.CHARTS
    }
    named = {(each["chart"], each["in"]) for each in examples.data("charts")}
    assert charts == named, "data/charts.yaml"
    assert all(len(each["reason"].split()) > 10 for each in examples.data("charts"))
