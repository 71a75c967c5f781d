"""Each of the two fences without the other: the network policies, and the edge itself.

The edge with its routing broken on purpose meets rules made from the rendered policies; the edge as it is meets a
network that lets everything through. The places where a prompt must not come record who comes: not even a connection
does.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.edge import asking
from tests.edge.conftest import code_of
from tests.edge.processes import ROOT
from tests.fences.edges import ELSEWHERE, GATEWAY, WORKLOAD, Stage
from tests.fences.rendered_site import AWS, INTERNET, Site
from tests.graders import network

SECRET = "IBAN DE02 1203 0000 0000 2020 51"
BROKEN = "tests.fences.broken_edge"


@pytest.fixture(scope="module")
def staged(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(site, tmp_path_factory.mktemp("stage"))
    yield stage
    stage.close()


@pytest.fixture
def stage(staged: Stage) -> Iterator[Stage]:
    """With the rules standing, and nothing recorded yet."""
    staged.clear()
    yield staged
    staged.site.fence_in()


def test_through_both_fences_a_prompt_reaches_the_classs_own_model(stage: Stage):
    with stage.running(GATEWAY, stage.gateway_config()), stage.application() as app:
        assert stage.ask(app, SECRET).status_code == 200
    assert SECRET in stage.model.received[-1].decode()
    assert stage.astray() == {}


def test_an_edge_whose_routing_is_broken_is_stopped_by_the_network_alone(stage: Stage):
    fence = stage.site.fence
    with stage.running(GATEWAY, stage.broken_config(), BROKEN), stage.application() as app:
        for workload in ELSEWHERE:
            before = fence.refused(GATEWAY, "out")
            for stream in (False, True):
                answer = stage.ask(app, SECRET, workload, stream=stream)
                assert (answer.status_code, code_of(answer)) == (503, "model_unavailable"), workload
            assert fence.refused(GATEWAY, "out") >= before + 2, f"the way to {workload} ended otherwise"
        assert stage.astray() == {}
        assert stage.ask(app, SECRET).status_code == 200, "and its own model it reaches"
        # The same edge, the same requests, no rules: this is what they keep from happening.
        fence.remove()
        for workload, recorder in stage.wrong.items():
            assert stage.ask(app, SECRET, workload).status_code == 200
            assert SECRET in recorder.received[-1].decode()


def test_the_analyser_finds_no_way_from_the_restricted_class_to_those_places_either(
    stage: Stage, tmp_path: Path
):
    site = stage.site
    connections = {
        (connection.source, connection.target)
        for connection in network.ways_of(site.bodies, tmp_path)
        if connection.source.startswith("isthmus-restricted/")
    }
    resolver = network.span(f"{site.outside['site-resolver']}/32")
    database = "10.40.0.21"  # at the site, as `Pulumi.bank-dev.yaml` says
    assert connections == {
        (GATEWAY, end) for end in ("isthmus-restricted/restricted-qwen3-32b", resolver, database)
    }
    assert {AWS, INTERNET} < set(ELSEWHERE)


def test_the_edge_itself_refuses_the_broken_file(stage: Stage, tmp_path: Path):
    file = tmp_path / "config.yaml"
    with file.open("w") as stream:
        YAML().dump(stage.broken_config(), stream)
    done = subprocess.run(
        [sys.executable, "-m", "edge", "--config", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "must stay on the site" in done.stderr


def test_with_the_network_open_the_edge_alone_lets_no_prompt_astray(stage: Stage):
    body = {"model": WORKLOAD, "messages": [{"role": "user", "content": SECRET}]}
    with stage.running(GATEWAY, stage.gateway_config()), stage.application() as app:
        stage.site.fence.remove()
        for model in asking.OTHER_MODELS:
            answer = stage.ask(app, SECRET, model=model)
            assert (answer.status_code, code_of(answer)) == (404, "model_not_found"), model
        for field in asking.UNKNOWN_FIELDS:
            answer = stage.ask(app, SECRET, **{field: "cloud"})
            assert (answer.status_code, code_of(answer)) == (400, "unknown_field"), field
        for fields in asking.LEADING_OUT:
            assert stage.send(app, {**body, **fields}).status_code == 400, fields
        assert stage.model.received == [], "what is refused goes to no model at all"
        # A header says nothing to the edge: the request goes where it would have gone.
        assert stage.send(app, body, headers=asking.CLOUD_HEADERS).status_code == 200
        assert SECRET in stage.model.received[-1].decode()
        assert stage.astray() == {}
