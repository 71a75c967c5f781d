"""Generates code and docs from the contract and the component package: `python -m scripts.component_reference`.

- The engine settings in the arguments of ModelServer and SageMakerEndpoint, from the marked fields of `Endpoint`.
- The tables of arguments, fields and outputs in `docs/components*.md`, from the package's schema.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from isthmus.contracts.field_docstrings import field_docstrings
from isthmus.contracts.platform.lookups.engine_settings import ENGINE_SETTINGS
from isthmus.contracts.platform.model import platform

ROOT = Path(__file__).resolve().parents[1]
ARGUMENT_FILES = ("components/serving/arguments.py", "components/aws/sagemaker/arguments.py")
BEGIN = "    # Engine settings of the contract: `python -m scripts.component_reference` writes them.\n"
END = "    # End of the engine settings.\n"
PAGES = (
    *("components.md", "components-pools.md", "components-aws.md", "components-aws-identity.md"),
    *("components-aws-audit.md", "components-aws-eks.md", "components-aws-sagemaker.md"),
    *("components-aws-records.md", "components-fargate.md"),
)


def with_engine_settings(text: str) -> str:
    """The text of a file of argument types, with the engine settings of the contract."""
    before, begin, remainder = text.partition(BEGIN)
    _, end, after = remainder.partition(END)
    if not begin or not end:
        raise ValueError(f"the file has no block between `{BEGIN.strip()}` and `{END.strip()}`")
    return f"{before}{begin}{_argument_lines()}{end}{after}"


def _argument_lines() -> str:
    descriptions = field_docstrings(platform.Endpoint)
    lines: list[str] = []
    for name in ENGINE_SETTINGS:
        annotation = platform.Endpoint.model_fields[name].annotation
        lines += [f"    {name}: NotRequired[{_type_name(annotation)}]", f'    """{descriptions[name]}"""']
        if len(lines[-1]) > 120:
            raise ValueError(
                f"the docstring of Endpoint.{name} is {len(lines[-1])} characters long, over 120"
            )
    return "".join(f"{line}\n" for line in lines)


def _type_name(annotation: Any) -> str:
    """The type of an argument for a field: without None, and `str` for a choice of words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return "str"
    if origin in (Union, types.UnionType):
        (part,) = (part for part in arguments if part is not type(None))
        return _type_name(part)
    if origin is list:
        return f"list[{_type_name(arguments[0])}]"
    if annotation in (str, int, float, bool):
        return annotation.__name__
    raise ValueError(f"an engine setting cannot be a {annotation}")


def package_schema() -> dict[str, Any]:
    """The schema that the component host infers, without an engine."""
    from pulumi.provider.experimental.component import ComponentProvider

    from components.__main__ import HOSTED

    return json.loads(ComponentProvider(HOSTED, "isthmus", None, "0.1.0").schema)  # type: ignore[arg-type]


def rows(properties: dict[str, Any], required: list[str], kinds: bool = True) -> list[str]:
    """The lines of a table: name, optionally kind, description."""
    return [
        f"| `{_snake_case(name)}` | "
        + (f"{_kind(definition)}{', required' if name in required else ''} | " if kinds else "")
        + f"{definition['description']} |"
        for name, definition in properties.items()
    ]


def _kind(schema: dict[str, Any]) -> str:
    if schema.get("$ref") == "pulumi.json#/Any":
        return "anything"
    if "$ref" in schema:
        return schema["$ref"].rsplit(":", 1)[-1]
    match schema["type"]:
        case "array":
            return f"list of {_kind(schema['items'])}"
        case "object":
            return f"map of {_kind(schema['additionalProperties'])}"
        case "string":
            return "text"
    return schema["type"]


def _snake_case(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)


def with_tables(page: str, schema: dict[str, Any]) -> str:
    """The text of a page, with new tables of its components and their types."""
    for token, resource in schema["resources"].items():
        arguments = rows(resource["inputProperties"], resource.get("requiredInputs", []))
        outputs = rows(resource["properties"], [], kinds=False)

        def fill(
            section: re.Match[str], arguments: list[str] = arguments, outputs: list[str] = outputs
        ) -> str:
            filled = _with_rows(section[0], r"\| argument \| kind \| \|\n\|---\|---\|---\|\n", arguments)
            return _with_rows(filled, r"\| output \| \|\n\|---\|---\|\n", outputs)

        page = _replaced(page, rf"(?ms)^## {token.rsplit(':', 1)[-1]}$.*?(?=^## |\Z)", fill)
    for token, definition in schema["types"].items():
        lines = rows(definition["properties"], definition.get("required", []))

        def fill_type(place: re.Match[str], lines: list[str] = lines) -> str:
            return _with_rows(place[0], r"\| field \| kind \| \|\n\|---\|---\|---\|\n", lines)

        name = token.rsplit(":", 1)[-1]
        page = _replaced(page, rf"(?m)^`{name}`: (?!as above).+\n\n(?:\|.*\n)+", fill_type)
    return page


def _replaced(text: str, pattern: str, fill: Callable[[re.Match[str]], str]) -> str:
    return re.sub(pattern, fill, text, count=1)


def _with_rows(text: str, heading: str, lines: list[str]) -> str:
    """The text with new rows in the first table under a heading."""
    table = "".join(f"{line}\n" for line in lines)
    return re.sub(rf"({heading})(?:\|.*\n)*", lambda match: match[1] + table, text, count=1)


def main() -> int:
    for name in ARGUMENT_FILES:
        path = ROOT / name
        path.write_text(with_engine_settings(path.read_text("utf-8")), "utf-8")
    # The components are imported anew, with the arguments that were just written.
    if "--pages" not in sys.argv:
        return subprocess.run(
            [sys.executable, "-m", "scripts.component_reference", "--pages"], check=False
        ).returncode
    schema = package_schema()
    for name in PAGES:
        path = ROOT / "docs" / name
        path.write_text(with_tables(path.read_text("utf-8"), schema), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
