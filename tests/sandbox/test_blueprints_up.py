"""Every blueprint, from an example's requirements to nothing: up, unchanged, changed, refreshed, destroyed.

`make test` takes those that no other file brings up; `make soak` takes all.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.blueprints.test_examples import PICKED
from tests.sandbox.begun import begun
from tests.sandbox.waiting import eventually

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).resolve().parents[2]
OFTEN = ("pilot",)
"""In `make test` too."""


@pytest.mark.parametrize(
    ("example", "blueprint"),
    [
        pytest.param(name, blueprint, marks=() if blueprint in OFTEN else pytest.mark.soak, id=blueprint)
        for name, blueprint in sorted(PICKED.items())
    ],
)
def test_a_blueprint_goes_up_stays_changes_and_goes_down(
    toolchain: Any, tmp_path: Path, example: str, blueprint: str
) -> None:
    with begun("tried", ROOT / f"{example}.requirements.yaml", tmp_path) as stack:
        stack.must("up", "tried", "--yes")
        stack.unchanged()
        gateways = [
            resource for resource in stack.state() if resource["type"] == "isthmus:index:InferenceGateway"
        ]
        assert gateways or blueprint == "cloud-managed"
        before = {resource["urn"]: resource.get("id") for resource in stack.state()}

        # One change: every gateway gets a copy more. Only its configuration is made anew, as it states the share of the
        # endpoints' capacity that one copy may use.
        names = [entry["name"] for entry in platform(stack)["gateways"]]
        stack.override(gateways=[{"name": name, "replicas": 3} for name in names])
        output = stack.must("up", "tried", "--yes")
        after = {resource["urn"]: resource.get("id") for resource in stack.state()}
        made_anew = {urn.rpartition("::")[2] for urn, id in before.items() if after.get(urn) != id}
        gateways_configs = {name for name in made_anew if re.search(r"-gateway-config$", name)}
        assert made_anew == gateways_configs
        assert output.count("replaces ") == len(made_anew)

        stack.unchanged("--refresh")
        output = stack.must("destroy", "tried", "--yes")
        left = [resource["urn"] for resource in stack.state() if resource["type"] != "pulumi:pulumi:Stack"]
        assert left == []
        assert eventually(stack.objects, lambda objects: not objects) == set()
        for ids in stack.in_account().values():
            assert all(id.rpartition("/")[2] in output for id in ids), "destroy did not name it"


def platform(stack: Any) -> dict[str, Any]:
    from isthmus.engine.project import project

    return project.find_project(stack.root).stack("tried").platform().model_dump(mode="json", by_alias=True)
