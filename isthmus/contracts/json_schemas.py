"""JSON Schemas of the files that people write, for editors, for `isthmus schema` and for generated docs.

Each property has a description (the docstring of its field), and where they apply a unit, a default and an example. A
schema knows shapes, names and ranges; rules between values (`p95` at least the mean, handling, packing) are the
loaders' alone.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from isthmus.contracts import schema_examples
from isthmus.core import value_formats

if TYPE_CHECKING:
    from pydantic import BaseModel

Name = Literal["requirements", "plan", "overrides", "images"]
NAMES: tuple[Name, ...] = ("requirements", "plan", "overrides", "images")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a kind of file. Raises `InputError` on an unknown name."""
    if name == "requirements":
        from isthmus.contracts.requirements.document import Requirements

        body = _model_schema(Requirements)
        _add_known_values(body)
        title = "Isthmus requirements"
    elif name == "plan":
        from isthmus.contracts.plan.document import Plan

        body = _model_schema(Plan)
        title = "Isthmus plan"
    elif name == "overrides":
        from isthmus.contracts.platform.model.platform import Platform

        body = _with_everything_optional(_model_schema(Platform))
        title = "Isthmus overrides (`isthmus:overrides` in a stack's configuration)"
    elif name == "images":
        from isthmus.contracts.images_lock import FILE, ImagesLock

        body = _model_schema(ImagesLock)
        title = f"Isthmus lock of images and charts (`{FILE}`)"
    else:
        from isthmus.core.errors import InputError
        from isthmus.core.validation_errors import known_names

        raise InputError(
            f"there is no schema `{name}`",
            fix=known_names(name, NAMES),
        )
    body.pop("title", None)
    return {"$schema": DIALECT, "title": title, **body}


def text(name: str) -> str:
    """The schema as the bytes of `docs/schemas/NAME.json`."""
    import json

    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def header(name: Name, path: str) -> str:
    """The comment by which an editor finds the schema; `path` leads from the file to `docs/schemas`."""
    from isthmus.core.yaml_files import schema_header

    return schema_header(f"{path.rstrip('/')}/{name}.json")


def _model_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model, with a description, a unit and an example of each property."""
    from pydantic.json_schema import GenerateJsonSchema

    from isthmus.contracts.field_docstrings import field_docstrings

    class DescribedSchema(GenerateJsonSchema):
        """Adds the docstring of each field to its property."""

        def model_schema(self, schema: Any) -> dict[str, Any]:
            part = super().model_schema(schema)
            kind: type[BaseModel] = schema["cls"]
            for name, text in field_docstrings(kind).items():
                key = kind.model_fields[name].alias or name
                part["properties"][key].setdefault("description", text)
            return part

    body = model.model_json_schema(by_alias=True, schema_generator=DescribedSchema)
    for title, part in parts(body).items():
        for key, value in part["properties"].items():
            _complete(key, value, title, body.get("$defs", {}))
    return body


def parts(body: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The parts of a schema that have properties, by title; the file itself has an empty one."""
    found: dict[str, dict[str, Any]] = {}
    for title, definition in {"": body, **body.get("$defs", {})}.items():
        # A part that may also be written as a single value (`prompt_tokens: 600`) is one branch of a union.
        for branch in (definition, *definition.get("anyOf", [])):
            if "properties" in branch:
                found[title] = branch
    return found


def _complete(key: str, value: dict[str, Any], title: str, definitions: Mapping[str, Any]) -> None:
    """Add the unit and an example to a property, and the unit to its description, which is what editors show."""
    unit = _stated(value, "unit") or (value_formats.unit(key) if _is_number(value) else "")
    if unit:
        value["unit"] = unit
        if "description" in value:
            value["description"] += f" Unit: {unit}."
    if not value.get("examples"):
        named = schema_examples.name_key(key, title)
        value["examples"] = [schema_examples.example(named, value, definitions)]


def _branches(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The schemas of what a value may be or hold: the branches of a union, the items of a list, a map's values."""
    inner = [
        value.get("items"),
        value.get("additionalProperties"),
        *value.get("patternProperties", {}).values(),
    ]
    branches = [*value.get("anyOf", []), *value.get("oneOf", []), *inner]
    return [branch for branch in branches if isinstance(branch, dict)]


def _stated(value: Mapping[str, Any], keyword: str) -> Any:
    """The first value of a keyword in a property or in what it holds; None if it is absent."""
    if keyword in value:
        return value[keyword]
    return next(
        (found for branch in _branches(value) if (found := _stated(branch, keyword)) is not None), None
    )


def _is_number(value: Mapping[str, Any]) -> bool:
    return value.get("type") in ("integer", "number") or any(map(_is_number, _branches(value)))


def _add_known_values(body: dict[str, Any]) -> None:
    """Names that validators check become enumerations, so that editors offer them."""
    from isthmus.contracts.hardware.gpus import GPUS
    from isthmus.contracts.reference.jurisdictions import AWS_REGIONS, PARENTS

    definitions = body["$defs"]
    places = sorted(PARENTS)
    definitions["Pool"]["properties"]["gpu"]["enum"] = list(GPUS)
    definitions["AwsSite"]["properties"]["region"]["enum"] = sorted(AWS_REGIONS)
    for part in ("AwsSite", "OnPremSite"):
        definitions[part]["properties"]["jurisdiction"]["enum"] = places
    for branch in definitions["Workload"]["properties"]["residency"]["anyOf"]:
        if "items" in branch:
            branch["items"]["enum"] = places


_ANNOTATIONS = ("description", "unit", "examples")
"""Keywords that describe a property and restrict nothing."""


def _with_everything_optional(body: dict[str, Any]) -> dict[str, Any]:
    """Nothing required but the name of a list's item; every value may be null, which deletes."""
    body = copy.deepcopy(body)
    for part in parts(body).values():
        part.pop("required", None)
        for key, value in part["properties"].items():
            default = value.pop("default", None)
            if isinstance(default, bool | int | float | str):
                value["description"] = f"{value.get('description', '')} Default: {_as_yaml(default)}.".strip()
            if not _nullable(value):
                notes = {word: value.pop(word) for word in _ANNOTATIONS if word in value}
                part["properties"][key] = {"anyOf": [value, {"type": "null"}], **notes}
    return body


def _as_yaml(value: bool | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _nullable(value: dict[str, Any]) -> bool:
    return value.get("type") == "null" or any(_nullable(branch) for branch in value.get("anyOf", []))
