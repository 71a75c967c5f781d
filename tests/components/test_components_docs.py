"""The pages on components: every argument, output and field as the package has it, and programs that run."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

import components
from scripts import component_reference
from tests.components.conftest import Engine
from tests.components.platforms import bank

ROOT = Path(components.__file__).resolve().parent.parent
HOSTED = sorted(set(components.__all__) - {"LlmPlatform"})


def sections() -> dict[str, str]:
    """What stands below each second heading, by heading."""
    text = "\n".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in component_reference.PAGES)
    pieces = re.split(r"(?m)^## (.+)$", text)[1:]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return component_reference.package_schema()


def tables(text: str) -> list[list[str]]:
    """The rows of each table in a text."""
    matches = re.findall(r"(?m)^\|---.*\n((?:\|.*\n)+)", f"{text}\n")
    return [table.splitlines() for table in matches]


def test_each_component_has_a_section() -> None:
    assert set(components.__all__) <= set(sections())


@pytest.mark.parametrize("name", HOSTED)
def test_the_docs_list_the_arguments_and_outputs_of_the_package(schema: dict[str, Any], name: str) -> None:
    resource = schema["resources"][f"isthmus:index:{name}"]
    expected = [
        component_reference.rows(resource["inputProperties"], resource.get("requiredInputs", [])),
        component_reference.rows(resource["properties"], [], kinds=False),
    ]
    present_rows = tables(sections()[name])
    assert [row for row in expected if row not in present_rows] == [], (
        "run python -m scripts.component_reference"
    )


def test_the_docs_list_the_fields_of_every_named_type(schema: dict[str, Any]) -> None:
    text = "\n".join(sections().values())
    for token, definition in schema["types"].items():
        name = token.rsplit(":", 1)[-1]
        (place,) = re.findall(rf"(?m)^`{name}`: (?!as above).+\n\n((?:\|.*\n)+)", text)
        assert tables(place) == [
            component_reference.rows(definition["properties"], definition.get("required", []))
        ], name


@pytest.mark.parametrize("mode", ["manage", "existing", "off"])
def test_each_singleton_knows_all_modes(schema: dict[str, Any], mode: str) -> None:
    modes = {
        token.rsplit(":", 1)[-1]: properties["mode"]["description"]
        for token, properties in [
            *((token, resource["inputProperties"]) for token, resource in schema["resources"].items()),
            *((token, definition["properties"]) for token, definition in schema["types"].items()),
        ]
        if "mode" in properties and not token.endswith(":GatewayRoute")  # interactive or batch work
    }
    assert set(modes) == {
        *(
            "AuditTrail",
            "GuardrailSettings",
            "InvocationLogging",
            "Network",
            "SealingKeySettings",
            "SiteLink",
        ),
        *("TrailSettings", "TrustAnchor"),
    }
    assert [name for name, description in modes.items() if f"`{mode}`" not in description] == []


def program(name: str) -> str:
    (source,) = re.findall(r"(?ms)^```python\n(.+?)^```$", sections()[name])
    return source


@pytest.mark.parametrize("name", components.__all__)
def test_the_program_of_each_component_makes_it(
    engine: Engine, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program.py").write_text(program(name), encoding="utf-8")
    (tmp_path / "platform.yaml").write_text(yaml.safe_dump(bank()), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run() -> Any:
        names = runpy.run_path(str(tmp_path / "program.py"))
        (component,) = [value for value in names.values() if type(value) is getattr(components, name)]
        return component

    engine.run(run)
    assert [resource for resource in engine.made if not resource.type.startswith("pulumi:")], (
        "it makes nothing"
    )


@pytest.mark.parametrize("name", component_reference.ARGUMENT_FILES)
def test_the_engine_settings_among_the_arguments_are_those_of_the_contract(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert component_reference.with_engine_settings(text) == text, "run python -m scripts.component_reference"


@pytest.mark.parametrize("name", component_reference.PAGES)
def test_writing_the_tables_anew_changes_no_page(schema: dict[str, Any], name: str) -> None:
    text = (ROOT / "docs" / name).read_text("utf-8")
    assert component_reference.with_tables(text, schema) == text
