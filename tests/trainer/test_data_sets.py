"""Data sets of a fine-tune: only proven files, of the adapter's class or a lower one, become examples."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.written import LINES, correction, recipe, write_corrections, write_recipe, write_sanitised
from trainer import data_sets
from trainer import recipe as recipes
from trainer.data_sets import Example
from trainer.errors import TrainerError
from trainer.manifest import DataFacts

TODAY = date(2026, 12, 2)


def read(tmp_path: Path, *data: dict[str, Any], **changes: Any) -> tuple[list[Example], list[DataFacts]]:
    file = write_recipe(tmp_path / "recipe.yaml", recipe(*data, **changes))
    return data_sets.read(recipes.load(file), tmp_path, TODAY)


def refusal(tmp_path: Path, *data: dict[str, Any], **changes: Any) -> TrainerError:
    with pytest.raises(TrainerError) as caught:
        read(tmp_path, *data, **changes)
    return caught.value


def test_sanitised_lines_and_each_choice_of_a_correction_are_examples(tmp_path: Path):
    sanitised = write_sanitised(tmp_path / "clean") | {"groups": ["kyc", "audit"]}
    examples, lineage = read(tmp_path, sanitised, write_corrections(tmp_path / "c.jsonl", correction()))
    assert len(examples) == len(LINES) + 2
    assert Example((("user", "Who?"),), "Somebody else.") in examples
    assert [(data.kind, data.data_class, data.examples) for data in lineage] == [
        ("sanitised", "internal", len(LINES)),
        ("corrections", "confidential", 2),
    ]
    assert lineage[0].groups == ("audit", "kyc")
    assert lineage[0].rules == ("r1",)
    assert lineage[1].licences == ("only for training",)
    assert lineage[1].sources == ("corrected answers of kyc-extraction",)
    assert lineage[1].keep_until == "2026-12-31"


def test_the_order_of_the_examples_does_not_depend_on_the_files(tmp_path: Path):
    forwards, _ = read(tmp_path, write_sanitised(tmp_path / "a"))
    backwards, _ = read(tmp_path, write_sanitised(tmp_path / "b", [*LINES[::-1], LINES[0]]))
    assert forwards == backwards


@pytest.mark.parametrize("data_class", ["public", "internal", "confidential"])
def test_an_adapter_learns_from_its_class_and_lower_ones(tmp_path: Path, data_class: str):
    _, [lineage] = read(tmp_path, write_sanitised(tmp_path / "clean", data_class=data_class))
    assert lineage.data_class == data_class


@pytest.mark.parametrize("place", ["manifest", "line", "correction"])
def test_data_of_a_higher_class_is_refused_wherever_its_class_is_written(tmp_path: Path, place: str):
    if place == "correction":
        data = write_corrections(tmp_path / "c.jsonl", correction(), correction(**{"class": "restricted"}))
    else:
        lines = [*LINES, {**LINES[0], "class": "restricted"}] if place == "line" else LINES
        data_class = "restricted" if place == "manifest" else "internal"
        data = write_sanitised(tmp_path / "clean", lines, data_class)
    error = refusal(tmp_path, data)
    assert error.kind == "refused"
    assert "the data set is restricted, and the adapter is confidential" in error.what
    assert error.where == "data[0]"


def test_a_changed_file_or_manifest_is_refused(tmp_path: Path):
    data = write_sanitised(tmp_path / "clean")
    file = tmp_path / "clean/a.jsonl"
    content = file.read_bytes()
    file.write_bytes(content.replace(b"answer", b"Answer", 1))
    assert refusal(tmp_path, data).where == str(file)
    file.write_bytes(content)
    manifest = tmp_path / "clean/manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    error = refusal(tmp_path, data)
    assert (error.kind, error.where) == ("refused", str(manifest))


@pytest.mark.parametrize("change", [{"complete": False}, {"refused": 1}, {"manifest_sha256": "0"}])
def test_an_unfinished_sanitised_folder_is_refused(tmp_path: Path, change: dict[str, Any]):
    data = write_sanitised(tmp_path / "clean")
    summary = tmp_path / "clean/summary.json"
    summary.write_text(json.dumps(json.loads(summary.read_text()) | change))
    error = refusal(tmp_path, data)
    assert "not the whole output of a finished `isthmus sanitise`" in error.what


def test_a_file_outside_the_folder_is_not_read(tmp_path: Path):
    (tmp_path / "other.jsonl").write_text("{}")
    data = write_sanitised(tmp_path / "clean", path="../other.jsonl")
    assert "none that `isthmus sanitise` wrote" in refusal(tmp_path, data).what


def test_corrections_that_had_to_be_deleted_are_refused(tmp_path: Path):
    terms = {"licence": "l", "keep_until": "2026-12-01"}
    error = refusal(tmp_path, write_corrections(tmp_path / "c.jsonl", correction(), correction(terms=terms)))
    assert (error.kind, error.what) == (
        "refused",
        "lines of the data set had to be deleted by 2026-12-01",
    )


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ({"prompt": "a"}, "the line is no example"),
        ({"prompt": "a", "completion": "b", "note": "c"}, "the key `note` is unknown"),
        ({"prompt": "a", "completion": " "}, "must end with an answer"),
        ({"messages": [{"role": "user", "content": "a"}]}, "must end with an answer"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "a message must have a `role`"),
        ({"messages": "a"}, "`messages` must be a list"),
        ({"prompt": "a", "completion": "b", "class": "secret"}, "`class` must be one of"),
        (correction(request={"messages": [], "tools": [{}]}), "requests with tools"),
        (correction(terms={"licence": "l"}), "until when it may be kept"),
    ],
)
def test_a_line_that_is_no_example_is_named(tmp_path: Path, line: dict[str, Any], what: str):
    error = refusal(tmp_path, write_sanitised(tmp_path / "clean", [*LINES, line]))
    assert what in error.what
    assert error.where == f"{tmp_path / 'clean/a.jsonl'}:{len(LINES) + 1}"


@pytest.mark.parametrize("key", ["source", "consent"])
def test_each_line_has_a_source_and_a_consent_where_the_recipe_has_none(tmp_path: Path, key: str):
    data = write_sanitised(tmp_path / "a")
    del data[key]
    assert f"the line has no `{key}`" in refusal(tmp_path, data).what
    data = write_sanitised(tmp_path / "b", [{**line, key: "stated"} for line in LINES])
    del data[key]
    _, [lineage] = read(tmp_path, data)
    assert ("stated",) in (lineage.sources, lineage.consents)
