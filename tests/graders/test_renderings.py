"""Nothing escapes the graders: every blueprint of the catalogue has a rendering."""

from __future__ import annotations

import pytest

from isthmus import blueprints
from tests.graders import examples, manifests

NAMES = examples.names()


def test_every_blueprint_of_the_catalogue_is_graded(rendered):
    graded = {rendering.blueprint for rendering in rendered.values()}
    missing = {blueprint.name for blueprint in blueprints.blueprints()} - graded
    assert not missing, f"no example in examples/ and no stack in stacks/ is planned for {sorted(missing)}"


@pytest.mark.parametrize("name", NAMES)
def test_a_rendering_has_something_to_grade(rendered, name: str):
    assert rendered[name].manifests or rendered[name].aws


def test_every_chart_without_graded_pods_is_listed(rendered):
    charts = {
        (body["metadata"]["name"], name)
        for name, rendering in rendered.items()
        for body in manifests.read(rendering.manifests)
        if body["apiVersion"] == manifests.CHARTS
    }
    named_charts = {(chart["chart"], chart["in"]) for chart in examples.data("charts")}
    assert charts == named_charts, "data/charts.yaml"
    assert all(len(chart["reason"].split()) > 10 for chart in examples.data("charts"))
