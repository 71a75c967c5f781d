"""Every property of a schema explains itself: a description, a unit, a default and an example that is accepted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter

from isthmus.contracts import json_schemas
from isthmus.contracts.field_docstrings import field_docstrings
from isthmus.contracts.images_lock import LockedImage
from isthmus.contracts.platform.model.aws.account import Trust
from isthmus.contracts.reference import handling
from isthmus.contracts.requirements import document, sites, workloads
from isthmus.contracts.requirements import value as value_parts
from isthmus.core import value_formats

IDENTIFIERS = ("port", "asn", "vlan", "value")
"""Last words of numbers that identify or order something. They measure nothing, so they have no unit."""


def properties(name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for title, part in json_schemas.parts(json_schemas.schema(name)).items():
        for key, value in part["properties"].items():
            yield title, key, value


def is_number(value: dict[str, Any]) -> bool:
    inner = [
        value.get("items"),
        value.get("additionalProperties"),
        *value.get("patternProperties", {}).values(),
    ]
    branches = [*value.get("anyOf", []), *value.get("oneOf", []), *inner]
    return value.get("type") in ("integer", "number") or any(
        is_number(branch) for branch in branches if isinstance(branch, dict)
    )


@pytest.mark.parametrize("name", json_schemas.NAMES)
def test_each_property_has_a_description(name: str):
    assert [f"{title}.{key}" for title, key, value in properties(name) if not value.get("description")] == []


@pytest.mark.parametrize("name", json_schemas.NAMES)
def test_each_number_has_a_unit_which_its_description_names(name: str):
    for title, key, value in properties(name):
        if is_number(value) and key.rpartition("_")[2] not in IDENTIFIERS:
            assert f"Unit: {value.get('unit')}." in value["description"], f"{title}.{key} has no unit"


@pytest.mark.parametrize("name", json_schemas.NAMES)
def test_each_property_has_an_example_that_its_schema_accepts(name: str):
    definitions = json_schemas.schema(name)["$defs"]
    for title, key, value in properties(name):
        checker = jsonschema.Draft202012Validator({**value, "$defs": definitions})
        assert value["examples"], f"{title}.{key} has no example"
        for example in value["examples"]:
            problems = [error.message for error in checker.iter_errors(example)]
            assert problems == [], f"example of {title}.{key}: {example}"


@pytest.mark.parametrize("name", json_schemas.NAMES)
def test_each_property_that_may_be_absent_has_a_default(name: str):
    for title, part in json_schemas.parts(json_schemas.schema(name)).items():
        for key, value in part["properties"].items():
            if name == "overrides" or key in part.get("required", []):
                continue
            assert "default" in value, f"{title}.{key} is optional and has no default"


def test_the_requirements_loader_accepts_each_example():
    modules = (document, sites, workloads, value_parts, handling)
    kinds = {
        name: kind for module in modules for name, kind in vars(module).items() if isinstance(kind, type)
    }
    seen = 0
    for title, key, value in properties("requirements"):
        model = kinds[title or "Requirements"]
        field = next(info for name, info in model.model_fields.items() if key in (name, info.alias))
        for example in value["examples"]:
            TypeAdapter(field.rebuild_annotation()).validate_python(example)
            seen += 1
    assert seen > 120


def test_an_override_that_may_be_null_keeps_its_description_and_names_its_default():
    endpoint = json_schemas.schema("overrides")["$defs"]["Endpoint"]["properties"]
    assert "Copies of the model." in endpoint["replicas"]["description"]
    assert "Default: 1." in endpoint["replicas"]["description"]
    assert endpoint["replicas"]["unit"] == "replicas"


def test_a_field_has_the_docstring_below_it_also_if_a_parent_defines_the_field():
    assert field_docstrings(Trust)["session_seconds"] == "How long the credentials of a session hold."
    assert field_docstrings(LockedImage)["purpose"] == "What it is for, in words."


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("session_seconds", "seconds"),
        ("peak_rps", "requests per second"),
        ("gpus_per_node", "GPUs per node"),
        ("colocation_usd_per_kw_month", "USD per kW and month"),
        ("tensor_parallel", "GPUs"),
        ("purpose", ""),
    ],
)
def test_a_key_names_its_unit(key: str, unit: str):
    assert value_formats.unit(key) == unit
