"""Commands on an estate of several stacks that need no engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.core import yaml_files
from tests.cli.conftest import Isthmus
from tests.estate import ESTATE, LAYERS, bank_estate


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    return bank_estate(tmp_path / "estate").root


def test_an_estate_renders_one_folder_per_stack_and_lists_the_images_of_all(isthmus: Isthmus, estate: Path):
    result = isthmus("render", ESTATE, "-o", estate / "out", "--for", "flux", "--project", estate)
    assert result.code == 0, result.err
    assert {path.name for path in (estate / "out").iterdir()} == set(LAYERS)
    assert (estate / "out" / "bank-platform" / "flux-fra1.yaml").is_file()
    assert not (estate / "out" / "bank-foundation" / "kubernetes").exists()
    images = isthmus("images", ESTATE, "--format", "json", "--project", estate)
    names = {image["name"] for image in json.loads(images.out)["images"]}
    assert {"vllm", "edge", "translator"} <= names, "the first is serving's, the last the platform's"


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("up", "bnk", "--yes"), 2, "Did you mean `bank`?"),
        (("up", "bank"), 2, "confirmation is required, but there is no terminal"),
        (("destroy", "bank", "--made", "x=y", "--yes"), 2, "several were given"),
        (("up", "bank", "--yes", "--parallel", "0"), 2, "--parallel"),
    ],
)
def test_invalid_estate_options_are_reported_before_anything_begins(
    isthmus: Isthmus, estate: Path, arguments: tuple[str, ...], code: int, expected: str
):
    result = isthmus(*arguments, "--project", estate)
    assert result.code == code, result.err
    assert expected in result.err
    assert "begins" not in result.err


def test_a_model_that_no_stack_serves_is_refused_for_every_layer(isthmus: Isthmus, estate: Path):
    file = estate / "stacks" / "Pulumi.bank-onboarding.yaml"
    settings = yaml_files.load(file).data
    settings["config"]["isthmus:serves"] = ["internal"]
    yaml_files.dump(settings, "", file)
    for name in ("bank-foundation", ESTATE):
        result = isthmus("up", name, "--yes", "--project", estate)
        assert result.code == 2
        assert "confidential-llama-3-1-8b is served by no stack of estate bank" in result.err


def test_an_emergency_access_is_recorded_and_signed_for_the_estate(isthmus: Isthmus, estate: Path):
    access = {
        **{"id": "inc-1", "requester": "ann", "approver": "bob", "reason": "INC-1: the model hangs"},
        **{"site": "fra1", "class": "restricted"},
        **{"since": "2026-11-26T10:00:00Z", "until": "2026-11-26T14:00:00Z"},
    }
    yaml_files.dump(
        {"isthmus": "v1", "accesses": [access]}, "", estate / "stacks" / f"{ESTATE}.break-glass.yaml"
    )
    results = {
        name: isthmus("break-glass", name, "inc-1", "--project", estate) for name in (ESTATE, "bank-platform")
    }
    assert results[ESTATE].code == 0, results[ESTATE].err
    assert json.loads(results[ESTATE].out)["stack"] == ESTATE
    assert results[ESTATE].out == results["bank-platform"].out
    result = isthmus("break-glass", ESTATE, "inc-2", "--project", estate)
    assert result.code == 2
    assert "bank.break-glass.yaml" in result.err
