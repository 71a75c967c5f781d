"""JSON Schemas: valid, consistent with the models, and equal to the files in docs/schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from isthmus.contracts import json_schemas
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from tests.contracts.bank import PLAN, REQUIREMENTS, plan_data

ROOT = Path(__file__).parents[2]


def errors(name: str, data: Any) -> list[str]:
    checker = jsonschema.Draft202012Validator(json_schemas.schema(name))
    return [error.json_path for error in checker.iter_errors(data)]


@pytest.mark.parametrize("name", json_schemas.NAMES)
def test_each_json_schema_is_valid(name: str):
    jsonschema.Draft202012Validator.check_schema(json_schemas.schema(name))


@pytest.mark.parametrize("name", json_schemas.NAMES)
def test_the_schema_in_docs_equals_the_schema_of_the_model(name: str):
    written = (ROOT / "docs" / "schemas" / f"{name}.json").read_text("utf-8")
    assert written == json_schemas.text(name), f"write `isthmus schema {name}` to docs/schemas/{name}.json"


def test_the_banks_files_are_valid():
    stacks = ROOT / "stacks"
    assert errors("requirements", yaml_files.load(stacks / "bank-dev.requirements.yaml").data) == []
    assert errors("requirements", yaml_files.loads(REQUIREMENTS).data) == []
    assert errors("plan", yaml_files.load(stacks / "bank-dev.plan.yaml").data) == []
    config = yaml_files.load(stacks / "Pulumi.bank-dev.yaml").data["config"]
    assert errors("overrides", config["isthmus:overrides"]) == []


def test_a_handwritten_plan_may_leave_predictions_and_prices_null():
    nulls = dict.fromkeys(("stress", "cost_items", "monthly_cost_usd", "alternatives"))
    assert errors("plan", {**PLAN, **nulls}) == []


def test_a_misspelt_key_and_an_invalid_name_fail_the_schema():
    data = yaml_files.loads(REQUIREMENTS.replace("impact: high", "impact: huge")).data
    data["budgt"] = {}
    assert errors("requirements", data) == ["$", "$.workloads[0].impact"]
    data = plan_data()
    data["endpoints"][0]["target"] = "onprem"
    assert errors("plan", data) == ["$.endpoints[0].target"]


def test_unknown_gpus_regions_and_jurisdictions_fail_the_schema():
    text = REQUIREMENTS.replace("gpu: l40s-48gb", "gpu: l40").replace("residency: [eu]", "residency: [ue]", 1)
    data = yaml_files.loads(text.replace("region: eu-central-1", "region: eu-centre-1")).data
    paths = errors("requirements", data)
    assert any("sites[0]" in path for path in paths)
    assert any("sites[1]" in path for path in paths)
    assert any("residency" in path for path in paths)


def test_overrides_require_nothing_and_null_is_allowed():
    assert errors("overrides", {}) == []
    assert errors("overrides", {"issuer": None, "endpoints": [{"id": "x", "replicas": None}]}) == []
    assert errors("overrides", {"endpoints": [{"id": "x", "replica": 2}]}) != []
    assert errors("overrides", {"endpoints": [{"id": "x", "replicas": "two"}]}) != []


def test_no_undocumented_schema_exists():
    with pytest.raises(InputError, match="Did you mean `plan`"):
        json_schemas.schema("plans")


def test_the_header_names_the_schema_from_the_file():
    assert (
        json_schemas.header("plan", "../docs/schemas")
        == "yaml-language-server: $schema=../docs/schemas/plan.json"
    )
