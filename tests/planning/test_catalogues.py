"""Data of the catalogues: complete, in order, and every row with its source and date."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.hardware import gpus as contract
from isthmus.core.errors import InputError
from isthmus.planning.catalogues import gpus, models

DATA = Path(models.__file__).with_name("data")
DAY = re.compile(r"^20\d\d(-\d\d(-\d\d)?)?$")


def evidence(row: dict[str, Any]) -> None:
    evidence_row = row["evidence"]
    assert evidence_row["kind"] in ("given", "list-price", "measured", "estimated", "assumed")
    assert len(evidence_row["source"]) > 5
    assert DAY.match(evidence_row["as_of"]), evidence_row["as_of"]


@pytest.mark.parametrize(
    "file", sorted(path.name for path in DATA.glob("*.json") if path.name != "calibration.json")
)
def test_every_catalogue_row_has_a_source_and_a_date(file: str) -> None:
    for row in json.loads((DATA / file).read_text("utf-8")):
        evidence(row)


def test_the_catalogue_has_enough_models_of_each_task() -> None:
    tasks = [row["task"] for row in models.rows()]
    assert len(tasks) >= 40
    assert {
        task: tasks.count(task) >= 3 for task in ("chat", "embedding", "rerank", "guard")
    } == dict.fromkeys(("chat", "embedding", "rerank", "guard"), True)
    assert sorted(models.ids(), key=str.lower) == list(models.ids())
    assert len(set(models.ids())) == len(models.ids())


@pytest.mark.parametrize("row", models.rows(), ids=lambda row: row["id"])
def test_a_model_states_its_precisions_and_licence(row: dict[str, Any]) -> None:
    find = models.find_model(row["id"])
    assert find.precisions
    assert find.licence
    assert row["licence"]["source"]
    assert all(code and text.endswith(".") for code, text in find.excludes)
    assert 0 < find.context <= 10_485_760
    assert all(precision["repo"].count("/") == 1 for precision in row["precisions"])


def test_llama_4_excludes_multimodal_use_in_the_eu() -> None:
    codes = [code for code, _ in models.find_model("meta-llama/Llama-4-Scout-17B-16E-Instruct").excludes]
    assert "eu-domiciled-multimodal" in codes


def test_catalogue_and_contract_have_the_same_gpus() -> None:
    assert sorted(gpus.ids()) == sorted(contract.GPUS)


@pytest.mark.parametrize("id", gpus.ids())
def test_a_gpu_has_less_memory_than_its_label_and_more_than_its_mig_slices(id: str) -> None:
    find, label = gpus.find(id), contract.GPUS[id]
    assert 0.96 * label.memory_mib < find.usable_mib <= label.memory_mib
    assert bool(find.slices) == label.mig_capable
    for part in find.slices:
        assert 0 < part.bandwidth <= 1
        assert 0 < part.compute <= 1
        assert part.usable_mib is None or part.usable_mib < 1.01 * find.usable_mib
        size = int(part.profile.split(".")[1].removesuffix("gb"))
        assert part.usable_mib is None or part.usable_mib / 1024 <= size * 1.01
    assert ("fp8" in find.precisions) == (label.family != "ampere")
    assert ("nvfp4" in find.precisions) == (label.family == "blackwell")


@pytest.mark.parametrize(
    ("find_unknown", "message"),
    [
        (
            lambda: gpus.find("h100-sxm-80g"),
            r"the GPU `h100-sxm-80g` is not in the catalogue\. Fix: Did you mean `h100-sxm-80gb`\?",
        ),
        (
            lambda: gpus.find("l4-24gb").slice("1g.10gb"),
            "l4-24gb has no MIG profile `1g.10gb`. Fix: Remove --mig",
        ),
        (lambda: gpus.find("h100-sxm-80gb").slice("9g"), r"Choose one of: 1g\.10gb, "),
        (lambda: gpus.find("b300-sxm-288gb").slice("1g.34gb"), "the usable memory of .* is not known"),
        (
            lambda: models.find_model("qwen3-32b"),
            r"not in the catalogue\. Fix: Did you mean `Qwen/Qwen3-32B`\?",
        ),
        (
            lambda: models.find_model("meta-llama/Llama-3.3-70B"),
            r"Fix: Did you mean `meta-llama/Llama-3.3-70B-Instruct`\?",
        ),
        (lambda: models.find_model("zzz"), "pass the path of its `config.json`"),
        (lambda: models.find_model("./nowhere/config.json"), "cannot be read as JSON"),
    ],
)
def test_an_unknown_gpu_or_model_is_refused_with_the_nearest_name(find_unknown: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_unknown()


def test_a_model_of_the_user_is_read_from_its_config_json(tmp_path: Path) -> None:
    row = next(row for row in models.rows() if row["id"] == "Qwen/Qwen3-8B")
    (tmp_path / "config.json").write_text(json.dumps(row["config"]))
    for path in (tmp_path, tmp_path / "config.json"):
        find = models.find_model(str(path))
        assert find.architecture == models.find_model("Qwen/Qwen3-8B").architecture
        assert find.precisions == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "is JSON, but not an object"),
        (" " * (1 << 20) + "{}", "over 1 MiB"),
    ],
)
def test_a_file_that_is_not_a_model_configuration_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        models.from_config_file(path)


def test_the_measured_grid_is_small_and_ships_with_its_licence() -> None:
    assert (DATA / "step_times.jsonl").stat().st_size < 5 << 20
    notice = (DATA / "NOTICE").read_text("utf-8")
    assert "Apache License, Version 2.0" in notice
    assert "NVIDIA" in notice
