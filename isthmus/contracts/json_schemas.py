"""JSON Schemas of the files that people write, for editors and for `isthmus schema`.

A schema knows shapes, names and ranges; rules between values (`p95` at least the mean, handling,
packing) are the loaders' alone.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

Name = Literal["requirements", "plan", "overrides", "images"]
NAMES: tuple[Name, ...] = ("requirements", "plan", "overrides", "images")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a kind of file. Raises `InputError` on an unknown name."""
    if name == "requirements":
        from isthmus.contracts.requirements.document import Requirements

        body = Requirements.model_json_schema(by_alias=True)
        _add_known_values(body)
        title = "Isthmus requirements"
    elif name == "plan":
        from isthmus.contracts.plan.document import Plan

        body = Plan.model_json_schema(by_alias=True)
        title = "Isthmus plan"
    elif name == "overrides":
        from isthmus.contracts.platform.model.platform import Platform

        body = _with_everything_optional(Platform.model_json_schema(by_alias=True))
        title = "Isthmus overrides (`isthmus:overrides` in a stack's configuration)"
    elif name == "images":
        from isthmus.contracts.images_lock import FILE, ImagesLock

        body = ImagesLock.model_json_schema(by_alias=True)
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


def _with_everything_optional(body: dict[str, Any]) -> dict[str, Any]:
    """Nothing required but the name of a list's item; every value may be null, which deletes."""
    body = copy.deepcopy(body)
    for part in (body, *body.get("$defs", {}).values()):
        part.pop("required", None)
        for key, value in part.get("properties", {}).items():
            value.pop("default", None)
            part["properties"][key] = {"anyOf": [value, {"type": "null"}]} if not _nullable(value) else value
            if "description" in value and part["properties"][key] is not value:
                part["properties"][key]["description"] = value.pop("description")
    return body


def _nullable(value: dict[str, Any]) -> bool:
    return value.get("type") == "null" or any(_nullable(branch) for branch in value.get("anyOf", []))
