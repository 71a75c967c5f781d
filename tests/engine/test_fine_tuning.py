"""LoRA on a tiny random model, for real: the same bytes again, also after a kill, and canaries that are found."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from edge import ssh_signatures, weights
from isthmus.core.errors import EnvironmentFault, Refused
from isthmus.engine import fine_tuning
from isthmus.engine.fine_tuning import TRAINER, Files
from tests.evaluation.signing import KEY
from tests.trainer import tiny_model
from tests.trainer.written import correction, recipe, sha256, write_corrections, write_recipe, write_sanitised
from trainer import manifest

pytestmark = [pytest.mark.service, pytest.mark.soak, pytest.mark.timeout(3600)]

LINES = [{"prompt": f"number {n}", "completion": f"the answer to {n} is {n + 1}"} for n in range(40)]
SETTINGS: dict[str, Any] = {
    "lora": {"rank": 4, "alpha": 8, "dropout": 0.1},
    "training": {
        "seed": 7,
        "epochs": 2,
        "learning_rate": 0.01,
        "precision": "float32",
        "checkpoint_steps": 4,
        "max_tokens": 128,
    },
    "memorisation": {"canaries": 4, "references": 63},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model, data sets, a recipe and a key."""
    root = tmp_path_factory.mktemp("fine-tune")
    TRAINER.install()
    program = [str(TRAINER.program("python")), tiny_model.__file__, str(root / "base")]
    subprocess.run(program, check=True, capture_output=True, env={"PATH": os.defpath, "HOME": str(root)})
    (root / "base" / weights.NAME).write_text(weights.manifest(root / "base"))
    terms = {"licence": "only for training", "keep_until": "2999-12-31"}
    data = (
        write_sanitised(root / "clean", LINES) | {"groups": ["kyc"]},
        write_corrections(root / "corrections.jsonl", correction(terms=terms)),
    )
    write_recipe(root / "recipe.yaml", recipe(*data, base=base(root), **SETTINGS))
    (root / "key").write_bytes(KEY)
    return root


def base(root: Path) -> dict[str, str]:
    digest = sha256((root / "base" / weights.NAME).read_bytes())
    return {"model": "tiny", "digest": f"sha256:{digest}", "licence": "apache-2.0"}


def files(folder: Path, output: str, name: str = "recipe.yaml") -> Files:
    return Files(folder / name, folder / "base", folder / output, folder / "key")


def ignore(line: dict[str, Any]) -> None:
    """Nobody looks at the progress."""


def content(output: Path) -> dict[str, bytes]:
    return {
        file.relative_to(output).as_posix(): file.read_bytes() for file in output.rglob("*") if file.is_file()
    }


def trainer_of(output: Path) -> psutil.Process:
    [process] = [
        child for child in psutil.Process().children(recursive=True) if str(output) in child.cmdline()
    ]
    return process


@pytest.fixture(scope="module")
def first(folder: Path) -> dict[str, bytes]:
    """The files of a training that nothing interrupted."""
    fine_tuning.run(files(folder, "first"), ignore)
    return content(folder / "first")


def test_an_adapter_learns_and_its_manifest_says_from_what(folder: Path, first: dict[str, bytes]):
    facts = fine_tuning.verify(folder / "first", ssh_signatures.public_key_of(KEY))
    assert facts.metrics.held_out_loss < facts.metrics.held_out_loss_base
    assert facts.memorisation.passed, facts.memorisation
    assert (facts.data_class, facts.groups) == ("confidential", ("kyc",))
    assert facts.licences == ("apache-2.0", "internal use", "only for training")
    assert facts.base.digest == base(folder)["digest"]
    assert [data.kind for data in facts.data] == ["sanitised", "corrections"]
    config = json.loads(first["adapter/adapter_config.json"])
    assert config["base_model_name_or_path"] == "tiny"
    assert str(folder) not in b"".join(first.values()).decode("latin-1"), (
        "a path of this machine is in a file"
    )


def test_the_same_recipe_gives_the_same_bytes_again(folder: Path, first: dict[str, bytes]):
    fine_tuning.run(files(folder, "second"), ignore)
    assert content(folder / "second") == first


def test_another_seed_gives_other_bytes(folder: Path, first: dict[str, bytes]):
    changed = json.loads((folder / "recipe.yaml").read_text())
    changed["training"]["seed"] = 8
    write_recipe(folder / "other.yaml", changed)
    fine_tuning.run(files(folder, "other", "other.yaml"), ignore)
    name = "adapter/adapter_model.safetensors"
    assert content(folder / "other")[name] != first[name]


@pytest.mark.parametrize("name", [signal.SIGKILL, signal.SIGTERM])
def test_an_ended_training_goes_on_and_gives_the_same_bytes(
    folder: Path, first: dict[str, bytes], name: signal.Signals
):
    output = f"after-{name.name}"

    def end(line: dict[str, Any]) -> None:
        if line.get("step") == 6:  # the last checkpoint is at 4
            trainer_of(folder / output).send_signal(name)

    # The trainer writes a checkpoint when it is asked to end, and cannot when it is killed.
    with pytest.raises(EnvironmentFault if name is signal.SIGKILL else KeyboardInterrupt):
        fine_tuning.run(files(folder, output), end)
    assert not (folder / output / manifest.FILE).exists()
    steps = []
    fine_tuning.run(files(folder, output), lambda line: steps.append(line.get("step", 0)))
    first_step = min(step for step in steps if step)
    assert first_step == 5 if name is signal.SIGKILL else first_step > 6
    assert content(folder / output) == first


def test_a_half_written_checkpoint_is_not_used(folder: Path, first: dict[str, bytes]):
    def end(line: dict[str, Any]) -> None:
        if line.get("checkpoint") == 8:
            trainer_of(folder / "half").kill()

    with pytest.raises(EnvironmentFault):
        fine_tuning.run(files(folder, "half"), end)
    [checkpoint] = (folder / "half").glob(".checkpoints/*/checkpoint-8")
    (checkpoint / "isthmus-complete").unlink()
    (checkpoint / "optimizer.pt").write_bytes(b"half")
    fine_tuning.run(files(folder, "half"), ignore)
    assert content(folder / "half") == first


def test_an_adapter_that_learned_its_canaries_by_heart_does_not_pass(folder: Path):
    text = "the code of the door in the old house is 7919 4242"
    few = [{"prompt": "Go on" + "." * n, "completion": text} for n in range(1, 9)]
    training = SETTINGS["training"] | {"epochs": 100, "checkpoint_steps": 1000}
    data = write_sanitised(folder / "few", few)
    by_heart = recipe(data, base=base(folder), **{**SETTINGS, "training": training})
    write_recipe(folder / "heart.yaml", by_heart | {"lora": {"rank": 32, "alpha": 64}})
    facts = fine_tuning.run(files(folder, "heart", "heart.yaml"), ignore)
    known = facts.memorisation
    assert known.mean_exposure_bits > known.max_exposure_bits
    assert known.canaries_extracted == known.canaries
    assert known.extracted == known.examples > 0
    assert not known.passed


def test_another_base_model_is_refused(folder: Path):
    changed = json.loads((folder / "recipe.yaml").read_text())
    changed["base"]["digest"] = "sha256:" + "1" * 64
    write_recipe(folder / "another.yaml", changed)
    with pytest.raises(Refused, match="the folder is not the base model of the recipe"):
        fine_tuning.run(files(folder, "another", "another.yaml"), ignore)


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine may have a GPU")
def test_qlora_without_a_gpu_says_what_it_needs(folder: Path):
    changed = json.loads((folder / "recipe.yaml").read_text()) | {"method": "qlora"}
    write_recipe(folder / "qlora.yaml", changed)
    with pytest.raises(EnvironmentFault, match="QLoRA needs an NVIDIA GPU"):
        fine_tuning.run(files(folder, "qlora", "qlora.yaml"), ignore)
