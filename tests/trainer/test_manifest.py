"""Manifests of adapters: whoever reads one knows that it, its signature and the adapter's files are right."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge import ssh_signatures, weights
from tests.evaluation.signing import KEY, OTHER_KEY
from tests.trainer.written import DIGEST
from trainer import manifest
from trainer.errors import TrainerError
from trainer.manifest import Manifest

SIGNER = ssh_signatures.public_key_of(KEY)


def made(digest: str = DIGEST, **changes: Any) -> Manifest:
    """A manifest of an adapter with this digest."""
    return Manifest.model_validate(
        {
            "name": "kyc-fields",
            "class": "confidential",
            "groups": ("kyc",),
            "adapter": {"digest": digest, "rank": 8, "size_mib": 1.5},
            "base": {"model": "tiny", "digest": DIGEST, "licence": "apache-2.0"},
            "data": (),
            "licences": ("apache-2.0",),
            "method": "lora",
            "seed": 7,
            "recipe_sha256": DIGEST,
            "recipe": {},
            "programs": {
                "lock": DIGEST,
                **dict.fromkeys(("torch", "transformers", "peft", "trl", "device"), "x"),
                "threads": 1,
            },
            "metrics": {
                **dict.fromkeys(("trained_examples", "held_out_examples", "steps", "trained_tokens"), 1),
                **dict.fromkeys(("train_loss", "held_out_loss_base", "held_out_loss"), 1.0),
            },
            "memorisation": {
                **dict.fromkeys(("canaries", "canaries_extracted", "examples", "extracted"), 0),
                **dict.fromkeys(("mean_exposure_bits", "max_exposure_bits", "max_extracted_percent"), 1.0),
                "passed": True,
            },
            "trained_by": SIGNER,
            **changes,
        }
    )


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An output folder with a signed manifest."""
    adapter = tmp_path / manifest.ADAPTER
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    text = weights.manifest(adapter)
    (adapter / weights.NAME).write_text(text)
    manifest.write(tmp_path, made("sha256:" + hashlib.sha256(text.encode()).hexdigest()), KEY)
    return tmp_path


def refused(output: Path, public_key: str | None = None) -> str:
    with pytest.raises(TrainerError) as caught:
        manifest.read(output, public_key)
    assert caught.value.kind == "refused"
    return caught.value.what


def test_a_signed_manifest_is_read_back_and_ssh_keygen_accepts_its_signature(output: Path):
    assert manifest.read(output, SIGNER).groups == ("kyc",)
    (output / "allowed").write_text(f"trainer {SIGNER}\n")
    command = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "trainer", "-n", manifest.NAMESPACE]
    done = subprocess.run(
        [*command, "-s", manifest.SIGNATURE],
        cwd=output,
        input=(output / manifest.FILE).read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_manifest_that_was_changed_after_signing_is_refused(output: Path):
    file = output / manifest.FILE
    file.write_text(file.read_text().replace('"kyc"', '"everybody"'))
    assert "the signature is not valid" in refused(output)


def test_a_manifest_without_its_signature_or_of_another_key_is_refused(output: Path):
    assert "not ssh-ed25519" in refused(output, ssh_signatures.public_key_of(OTHER_KEY))
    (output / manifest.SIGNATURE).unlink()
    assert "the signature is not valid" in refused(output)


def test_an_unsigned_manifest_is_refused_only_where_a_signer_is_demanded(output: Path):
    unsigned = made(manifest.read(output).adapter.digest, trained_by=None)
    manifest.write(output, unsigned, None)
    assert manifest.read(output).trained_by is None
    assert "nobody trained it" in refused(output, SIGNER)


@pytest.mark.parametrize("change", ["altered", "added"])
def test_another_file_of_the_adapter_is_refused(output: Path, change: str):
    name = "adapter_model.safetensors" if change == "altered" else "chat_template.jinja"
    (output / manifest.ADAPTER / name).write_bytes(b"other")
    assert "the adapter is not that of the manifest" in refused(output)
