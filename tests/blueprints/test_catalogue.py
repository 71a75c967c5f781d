"""The catalogue: what is on the shelf, and what each says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus import blueprints
from isthmus.core.errors import InputError

HEADER = """---
name: tiny
summary: One site
topology: one-site
classes: [public]
builds: [onprem-vllm, bedrock]
scale: {gpus_from: 0, gpus_to: 2, words: a team}
availability: none
cost_to_leave: [nothing]
requires: [a cluster]
---
"""


def shelf(folder: Path, text: str, name: str = "tiny") -> Path:
    (folder / name).mkdir()
    (folder / name / "blueprint.yaml.j2").write_text(text)
    return folder


def test_every_blueprint_header_has_its_purpose_and_the_cost_to_leave():
    catalogue = blueprints.blueprints()
    assert [blueprint.name for blueprint in catalogue] == [
        "burst-hybrid",
        "cloud-managed",
        "cloud-private",
        "pilot",
        "regulated-hybrid",
        "sovereign",
    ]
    for blueprint in catalogue:
        assert blueprint.header.summary
        assert blueprint.header.cost_to_leave
        assert blueprint.header.requires
        assert blueprint.header.builds


def test_every_readme_answers_the_questions_of_an_architect():
    for blueprint in blueprints.blueprints():
        for heading in ("## For whom", "## Boundaries", "## What it costs to leave", "```mermaid"):
            assert heading in blueprint.readme, f"{blueprint.name}: no {heading}"


def test_the_readme_and_the_header_name_the_same_costs():
    for blueprint in blueprints.blueprints():
        for cost in blueprint.header.cost_to_leave:
            cost_name = cost.split(":")[0]
            assert f"| {cost_name} |" in blueprint.readme, (
                f"{blueprint.name}: {cost_name} is not in the README's table"
            )


def test_an_unknown_blueprint_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="Did you mean `regulated-hybrid`"):
        blueprints.show("regulated-hybrd")


def test_a_misspelt_key_in_a_header_is_named_with_its_line(tmp_path: Path):
    shelf(tmp_path, HEADER.replace("summary:", "sumary:"))
    with pytest.raises(InputError, match=r"blueprint\.yaml\.j2:3 sumary:.*Did you mean `summary`"):
        blueprints.show("tiny", tmp_path)


@pytest.mark.parametrize(
    ("builds", "message"),
    [
        ("[onprem-vllm, mgi]", "mig"),
        ("[]", "builds"),
        ("[bedrock, bedrock]", "twice"),
        ("[mig]", "names no target"),
        ("[bedrock, several-nodes]", "onprem-vllm or eks-vllm"),
    ],
)
def test_the_targets_of_a_blueprint_header_are_checked(tmp_path: Path, builds: str, message: str):
    shelf(tmp_path, HEADER.replace("[onprem-vllm, bedrock]", builds))
    with pytest.raises(InputError, match=message):
        blueprints.show("tiny", tmp_path)


def test_a_blueprint_without_a_header_is_refused(tmp_path: Path):
    shelf(tmp_path, "isthmus: v1\n")
    with pytest.raises(InputError, match="has no header"):
        blueprints.show("tiny", tmp_path)


def test_a_header_must_have_the_name_of_its_folder(tmp_path: Path):
    shelf(tmp_path, HEADER, "other")
    with pytest.raises(InputError, match="has the name `tiny`, but the folder is `other`"):
        blueprints.show("other", tmp_path)


def test_another_folder_adds_the_organisations_own_blueprints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shelf(tmp_path, HEADER + "isthmus: v1\n")
    monkeypatch.setenv("ISTHMUS_BLUEPRINTS", str(tmp_path))
    names = [blueprint.name for blueprint in blueprints.blueprints()]
    assert names == sorted(names)
    assert {"tiny", "regulated-hybrid"} <= set(names)
    assert blueprints.show("tiny").folder == tmp_path / "tiny"
    with pytest.raises(InputError, match="Did you mean `tiny`"):
        blueprints.show("tini")


def test_an_own_blueprint_may_not_use_a_name_of_the_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shelf(tmp_path, HEADER.replace("name: tiny", "name: pilot"), "pilot")
    monkeypatch.setenv("ISTHMUS_BLUEPRINTS", str(tmp_path))
    with pytest.raises(InputError, match="two blueprints are named `pilot`"):
        blueprints.show("pilot")
    monkeypatch.setenv("ISTHMUS_BLUEPRINTS", str(tmp_path / "gone"))
    with pytest.raises(InputError, match="is not a folder"):
        blueprints.blueprints()
