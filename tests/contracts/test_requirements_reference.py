"""docs/requirements-reference.md: made from the models, complete and current."""

from __future__ import annotations

from isthmus.contracts import json_schemas
from isthmus.core import yaml_files
from scripts import requirements_reference


def test_the_page_is_what_the_models_say():
    written = requirements_reference.DOC.read_text("utf-8")
    assert written == requirements_reference.page(), "run `python -m scripts.requirements_reference`"


def test_the_page_describes_each_key_of_each_part():
    text = requirements_reference.page()
    for part in json_schemas.parts(json_schemas.schema("requirements")).values():
        for key, value in part["properties"].items():
            assert f"- **`{key}`**" in text
            assert value["description"].split(". ")[0].split()[0] in text


def test_examples_on_the_page_are_yaml_that_gives_the_same_value():
    for part in json_schemas.parts(json_schemas.schema("requirements")).values():
        for key, value in part["properties"].items():
            text = f"{key}: {requirements_reference.flow(value['examples'][0])}"
            assert yaml_files.loads(text).data == {key: value["examples"][0]}
