"""The package that other languages and programs use."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import components
from scripts import component_reference

pytestmark = pytest.mark.whole

ROOT = Path(components.__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The schema as the host infers it, with no engine."""
    return component_reference.package_schema()


def test_every_public_name_can_be_imported() -> None:
    assert components.__all__ == sorted(components.__all__)
    for name in components.__all__:
        assert getattr(components, name).__name__ == name


def test_a_missing_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'GpuPol'"):
        components.GpuPol  # noqa: B018


def test_importing_the_package_loads_no_sdk() -> None:
    program = "import sys, components; sys.exit(any(m.startswith('pulumi') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_all_single_site_components_are_hosted(schema: dict[str, Any]) -> None:
    hosted = {token.rsplit(":", 1)[-1] for token in schema["resources"]}
    assert hosted == set(components.__all__) - {"LlmPlatform"}, "LlmPlatform spans sites: Python only"


def test_every_component_argument_and_output_is_described(schema: dict[str, Any]) -> None:
    for token, resource in schema["resources"].items():
        assert resource["description"], token
        for side in ("inputProperties", "properties"):
            for name, description in resource[side].items():
                assert description.get("description"), f"{token}.{name}"
    for token, description in schema["types"].items():
        for name, field in description["properties"].items():
            assert field.get("description"), f"{token}.{name}"


def test_no_module_bears_a_name_of_the_standard_library() -> None:
    modules = {path.stem for path in (ROOT / "components").rglob("*.py")} - {"__init__", "__main__"}
    folders = {path.name for path in (ROOT / "components").iterdir() if path.is_dir()}
    assert not (modules | folders) & sys.stdlib_module_names


def test_the_package_main_puts_the_root_on_the_path() -> None:
    program = (
        "import runpy, sys; sys.path.insert(0, 'components');"
        "runpy.run_path('components/__main__.py', run_name='looked_at');"
        "sys.exit(not (sys.path[0] == sys.argv[1] and sys.argv[1] + '/components' not in sys.path"
        " and 'components' not in sys.path))"
    )
    result = subprocess.run([sys.executable, "-c", program, str(ROOT)], cwd=ROOT, check=False)
    assert result.returncode == 0
