"""An organisation's own resources beside the platform: `stacks/own.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.core.errors import InputError
from isthmus.engine.project import project
from isthmus.engine.render import rendering
from stacks import own_resources
from tests.laying import lay

OWN = """
import pulumi
import pulumi_kubernetes as k8s


def add(built, providers, stack):
    opts = pulumi.ResourceOptions(provider=providers["fra1"])
    name = f"tools-of-{stack}"
    k8s.core.v1.Namespace(name, metadata={"name": name, "labels": {"gateways": "1"}}, opts=opts)
    assert built.gateways is not None
"""


def rendered(root: Path, own: str) -> rendering.Rendered:
    lay(root, bank=True)
    (root / "stacks" / "own.py").write_text(own, "utf-8")
    return rendering.render(project.find_project(root).stack("bank-dev"))


def test_what_the_file_adds_is_rendered_with_the_platform(tmp_path: Path):
    resources = {resource.name: resource for resource in rendered(tmp_path, OWN).resources}
    added = resources["tools-of-bank-dev"]
    assert added.type == "kubernetes:core/v1:Namespace"
    assert added.provider == resources["bank-fra1-restricted-namespace"].provider


def add(folder: Path, own: str) -> None:
    (folder / "own.py").write_text(own, "utf-8")
    own_resources.add(folder, "bank-dev", None, {})  # type: ignore[arg-type]


def test_a_project_without_the_file_adds_nothing(tmp_path: Path):
    own_resources.add(tmp_path, "bank-dev", None, {})  # type: ignore[arg-type]


def test_a_file_without_the_function_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="no function `add`") as raised:
        add(tmp_path, "x = 1\n")
    assert f"{tmp_path.name}/own.py" in str(raised.value)


def test_an_error_of_the_file_is_not_hidden(tmp_path: Path):
    with pytest.raises(ZeroDivisionError):
        add(tmp_path, "def add(built, providers, stack):\n    1 / 0\n")
