"""`isthmus fine-tune`: what it prints and refuses. Training itself is in tests/engine/test_fine_tuning.py."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from edge import ssh_signatures, weights
from tests.cli.conftest import Isthmus
from tests.evaluation.signing import KEY, OTHER_KEY
from tests.trainer.test_manifest import made
from tests.trainer.written import LINES, json_lines, recipe, sha256, write_recipe, write_sanitised
from trainer import manifest


def test_without_a_base_model_nothing_starts(isthmus: Isthmus, tmp_path: Path):
    result = isthmus("fine-tune", tmp_path / "recipe.yaml", "-o", tmp_path / "out")
    assert result.code == 2
    assert "--base is missing" in result.err


def test_a_recipe_with_an_unknown_key_is_refused_before_anything_is_installed(
    isthmus: Isthmus, tmp_path: Path
):
    content = recipe(write_sanitised(tmp_path / "clean"), sed=1)
    file = write_recipe(tmp_path / "recipe.yaml", content)
    result = isthmus("fine-tune", file, "--base", tmp_path, "-o", tmp_path / "out")
    assert result.code == 2
    assert f"{file}:" in result.err
    assert "sed: this key is unknown" in result.err


def test_what_isthmus_sanitise_wrote_of_a_higher_class_is_refused(isthmus: Isthmus, tmp_path: Path):
    raw, rules = tmp_path / "raw", tmp_path / "rules.yaml"
    raw.mkdir()
    (raw / "a.jsonl").write_bytes(json_lines(LINES))
    rules.write_text("languages: [en]\n")
    options = ("--rules", rules, "--class", "restricted", "--allow-patterns-only", "synthetic")
    done = isthmus("sanitise", raw, "-o", tmp_path / "clean", *options)
    assert done.code == 0, done.err
    digest = f"sha256:{sha256((tmp_path / 'clean/manifest.jsonl').read_bytes())}"
    data = {"sanitised": "clean", "sha256": digest, "source": "s", "consent": "synthetic", "licence": "l"}
    file = write_recipe(tmp_path / "recipe.yaml", recipe(data))
    result = isthmus("fine-tune", file, "--base", tmp_path, "-o", tmp_path / "out")
    assert result.code == 1
    assert "data[0]: the data set is restricted, and the adapter is confidential" in result.err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """The output of a training, with a signed manifest."""
    adapter = tmp_path / manifest.ADAPTER
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(os.urandom(8))
    text = weights.manifest(adapter)
    (adapter / weights.NAME).write_text(text)
    manifest.write(tmp_path, made("sha256:" + hashlib.sha256(text.encode()).hexdigest()), KEY)
    return tmp_path


def test_verify_says_what_an_adapter_is_and_who_trained_it(isthmus: Isthmus, trained: Path):
    key = ssh_signatures.public_key_of(KEY)
    result = isthmus("fine-tune", "--verify", trained, "--trained-by", key)
    assert result.code == 0, result.err
    assert "adapter kyc-fields (confidential) of tiny" in result.out
    assert "groups that every caller must hold: kyc" in result.out
    assert f"signed by {key}" in result.out
    manifest = json.loads(isthmus("fine-tune", "--verify", trained, "--format", "json").out)
    assert manifest["groups"] == ["kyc"]


def test_verify_refuses_an_adapter_of_another_trainer(isthmus: Isthmus, trained: Path):
    key = ssh_signatures.public_key_of(OTHER_KEY)
    result = isthmus("fine-tune", "--verify", trained, "--trained-by", key)
    assert result.code == 1
    assert f"not {key}" in result.err


def test_an_adapter_that_knows_too_much_by_heart_exits_with_1(isthmus: Isthmus, trained: Path):
    before = manifest.read(trained)
    known = before.memorisation.model_copy(update={"canaries_extracted": 1, "passed": False})
    manifest.write(trained, before.model_copy(update={"memorisation": known}), KEY)
    result = isthmus("fine-tune", "--verify", trained)
    assert result.code == 1
    assert "knows more of its data by heart than the recipe allows" in result.err
