"""Which state backend the engine would use, found without starting it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.engine.project.project import Project
from isthmus.engine.state import backend as state_backend


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "Pulumi.yaml").write_text("name: isthmus\nruntime: python\n")
    return Project(tmp_path)


@pytest.fixture
def login(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has logged in."""
    (tmp_path / "credentials.json").write_text(json.dumps({"current": "file:///srv/states"}))
    return {"PULUMI_HOME": str(tmp_path)}


def test_a_login_sets_the_backend_if_no_other_setting_does(project: Project, login: dict[str, str]) -> None:
    assert state_backend.url(project, login) == "file:///srv/states"


def test_the_backend_in_the_project_overrides_a_login(tmp_path: Path, login: dict[str, str]) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: isthmus\nbackend:\n  url: s3://states\n")
    assert state_backend.url(Project(tmp_path), login) == "s3://states"


def test_the_environment_variable_overrides_project_and_login(tmp_path: Path, login: dict[str, str]) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: isthmus\nbackend:\n  url: s3://states\n")
    assert (
        state_backend.url(Project(tmp_path), {**login, "PULUMI_BACKEND_URL": "file:///here"})
        == "file:///here"
    )


def test_credentials_in_another_folder_are_found_by_their_variable(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "credentials.json").write_text(json.dumps({"current": "https://api.pulumi.com"}))
    assert state_backend.url(project, {"PULUMI_CREDENTIALS_PATH": str(folder)}) == "https://api.pulumi.com"


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"current": 1}'])
def test_without_a_login_there_is_no_backend(project: Project, tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "credentials.json").write_text(text)
    assert state_backend.url(project, {"PULUMI_HOME": str(tmp_path)}) == ""
