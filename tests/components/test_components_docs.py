"""The pages on components: every argument, output and field as the package has it, and programs that run."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

import components
from tests.components.conftest import Engine
from tests.components.platforms import bank

ROOT = Path(components.__file__).resolve().parent.parent
PAGES = (
    *("components.md", "components-pools.md", "components-aws.md", "components-aws-identity.md"),
    *("components-aws-audit.md", "components-aws-eks.md", "components-aws-sagemaker.md"),
    *("components-aws-records.md", "components-fargate.md"),
)
HOSTED = sorted(set(components.__all__) - {"LlmPlatform"})


def sections() -> dict[str, str]:
    """What stands below each second heading, by heading."""
    text = "\n".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in PAGES)
    pieces = re.split(r"(?m)^## (.+)$", text)[1:]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The schema as the host infers it, with no engine."""
    from pulumi.provider.experimental.component import ComponentProvider

    from components.__main__ import HOSTED as CLASSES

    return json.loads(ComponentProvider(CLASSES, "isthmus", None, "0.1.0").schema)  # type: ignore[arg-type]


def kind(schema: dict[str, Any]) -> str:
    """As the tables name it."""
    if schema.get("$ref") == "pulumi.json#/Any":
        return "anything"
    if "$ref" in schema:
        return schema["$ref"].rsplit(":", 1)[-1]
    match schema["type"]:
        case "array":
            return f"list of {kind(schema['items'])}"
        case "object":
            return f"map of {kind(schema['additionalProperties'])}"
        case "string":
            return "text"
    return schema["type"]


def snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)


def rows(properties: dict[str, Any], required: list[str], kinds: bool = True) -> list[str]:
    """The lines of a table."""
    return [
        f"| `{snake(name)}` | "
        + (f"{kind(definition)}{', required' if name in required else ''} | " if kinds else "")
        + f"{definition['description']} |"
        for name, definition in properties.items()
    ]


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
        rows(resource["inputProperties"], resource.get("requiredInputs", [])),
        rows(resource["properties"], [], kinds=False),
    ]
    present_rows = tables(sections()[name])
    assert [row for row in expected if row not in present_rows] == [], "write these rows"


def test_the_docs_list_the_fields_of_every_named_type(schema: dict[str, Any]) -> None:
    text = "\n".join(sections().values())
    for token, definition in schema["types"].items():
        name = token.rsplit(":", 1)[-1]
        (place,) = re.findall(rf"(?m)^`{name}`: (?!as above).+\n\n((?:\|.*\n)+)", text)
        assert tables(place) == [rows(definition["properties"], definition.get("required", []))], name


@pytest.mark.parametrize("mode", ["manage", "existing", "off"])
def test_each_singleton_knows_all_modes(schema: dict[str, Any], mode: str) -> None:
    modes = {
        token.rsplit(":", 1)[-1]: properties["mode"]["description"]
        for token, properties in [
            *((token, resource["inputProperties"]) for token, resource in schema["resources"].items()),
            *((token, definition["properties"]) for token, definition in schema["types"].items()),
        ]
        if "mode" in properties
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
