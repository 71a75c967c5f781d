"""Which changes to a project are noticed while it is deployed."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.engine.project.input_digest import fingerprint
from isthmus.engine.project.project import Project

SETTINGS = "stacks/Pulumi.dev.yaml"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name, text in {
        "Pulumi.yaml": "name: isthmus\nmain: stacks\nstackConfigDir: stacks\n",
        "stacks/__main__.py": "print()\n",
        "stacks/inside/more.py": "",
        "stacks/dev.plan.yaml": "a: 1\n",
        SETTINGS: "config:\n  isthmus:sandbox: 'true'\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return Project(tmp_path)


@pytest.mark.parametrize(
    "name", ["Pulumi.yaml", "images.lock.yaml", "stacks/__main__.py", "stacks/inside/more.py", SETTINGS]
)
def test_a_changed_input_file_changes_the_fingerprint(project: Project, name: str):
    before = fingerprint(project)
    (project.root / name).write_text("name: isthmus\nmain: stacks\nstackConfigDir: stacks\nmore: 1\n")
    assert fingerprint(project) != before


def test_an_added_or_removed_file_changes_the_fingerprint(project: Project):
    before = fingerprint(project)
    assert fingerprint(project) == before
    (project.root / "stacks" / "policies.py").write_text("")
    assert fingerprint(project) != before
    (project.root / "stacks" / "policies.py").unlink()
    assert fingerprint(project) == before


def test_values_that_the_run_itself_writes_are_not_changes(project: Project):
    before = fingerprint(project)
    for name in ("out/logs/dev.log", "stacks/__pycache__/x.pyc"):
        (project.root / name).parent.mkdir(parents=True)
        (project.root / name).write_text("x")
    settings = project.root / SETTINGS
    settings.write_text("encryptionsalt: v1:abc\n" + settings.read_text().replace("'true'", '"true"'))
    assert fingerprint(project) == before


def test_settings_that_do_not_parse_are_compared_as_text(project: Project):
    (project.root / SETTINGS).write_text("config: [\n")
    before = fingerprint(project)
    (project.root / SETTINGS).write_text("config: [ \n")
    assert fingerprint(project) != before
