"""The manifest of an adapter: what it was made of, how, and what it knows by heart.

It is signed as `ssh-keygen -Y sign` does.

It has no time and no name of a machine: the same recipe, data, base model, libraries and number of threads give the
same bytes on one machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge import ssh_signatures, weights
from edge.classes import DataClass
from trainer.errors import TrainerError
from trainer.recipe import Digest

NAMESPACE = "isthmus-fine-tune"
FILE, SIGNATURE, ADAPTER = "manifest.json", "manifest.json.sig", "adapter"
"""Names in the output folder."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Adapter(_Part):
    """The files of the adapter."""

    digest: Digest
    """SHA-256 of the file SHA256SUMS in its folder."""
    rank: int
    size_mib: float
    """Size of its weights."""


class BaseModelFacts(_Part):
    """The base model."""

    model: str
    digest: Digest
    licence: str


class DataFacts(_Part):
    """A data set that it learned from."""

    kind: Literal["sanitised", "corrections"]
    sha256: Digest
    data_class: DataClass = Field(alias="class")
    """The highest class of its lines."""
    examples: int
    sources: tuple[str, ...]
    consents: tuple[str, ...]
    licences: tuple[str, ...]
    groups: tuple[str, ...]
    rules: tuple[str, ...]
    """Versions of the rules that sanitised it."""
    keep_until: str | None
    """The earliest day on which lines of it must be deleted."""


class Programs(_Part):
    """What trained it."""

    lock: Digest
    """Digest of the lock of its libraries."""
    torch: str
    transformers: str
    peft: str
    trl: str
    device: str
    """`cpu`, or the name of the GPU."""
    threads: int


class Metrics(_Part):
    """How well it learned. Losses are means over the tokens of answers, in nats."""

    trained_examples: int
    held_out_examples: int
    steps: int
    trained_tokens: int
    """Tokens of all examples that were trained, each counted once."""
    train_loss: float
    """Mean over all steps."""
    held_out_loss_base: float
    """Of the base model, on examples that were not trained."""
    held_out_loss: float
    """Of the adapter, on the same examples."""


class MemorisationFacts(_Part):
    """What it knows by heart."""

    canaries: int
    mean_exposure_bits: float
    max_exposure_bits: float
    """Limit of the recipe."""
    canaries_extracted: int
    """Canaries that it says when asked. None may be."""
    examples: int
    """Training answers whose second half it was asked to continue."""
    extracted: int
    """Those that it continued word by word, and the base model did not."""
    max_extracted_percent: float
    """Limit of the recipe."""
    passed: bool


class Manifest(_Part):
    """An adapter, and where it comes from."""

    version: Literal[1] = 1
    name: str
    data_class: DataClass = Field(alias="class")
    groups: tuple[str, ...]
    """Groups of its data. Only callers who hold all of them may be served by it. Empty: no restriction."""
    adapter: Adapter
    base: BaseModelFacts
    data: tuple[DataFacts, ...]
    licences: tuple[str, ...]
    """Licences of the base model and of the data. All of them bind who uses the adapter."""
    method: Literal["lora", "qlora"]
    seed: int
    recipe_sha256: Digest
    recipe: dict[str, Any]
    """The settings of the recipe."""
    programs: Programs
    metrics: Metrics
    memorisation: MemorisationFacts
    trained_by: str | None
    """Public key of who signed (`ssh-ed25519 BASE64`)."""


def write(folder: Path, manifest: Manifest, private_key: bytes | None) -> None:
    """Write the manifest into the output folder, and its signature beside it.

    Args:
        folder: the output folder.
        manifest: with the public key of `private_key` as `trained_by`.
        private_key: of who trained. None: the manifest stays unsigned.
    """
    text = manifest.model_dump_json(indent=1, by_alias=True) + "\n"
    (folder / SIGNATURE).unlink(missing_ok=True)
    write_whole(folder / FILE, text.encode())
    if private_key is not None:
        write_whole(folder / SIGNATURE, ssh_signatures.sign(text, NAMESPACE, private_key).encode())


def read(folder: Path, public_key: str | None = None) -> Manifest:
    """The manifest of an output folder, after it and the adapter's files were proven.

    Args:
        folder: the output folder.
        public_key: of who must have signed. None: any key, but the signature must hold if there is one.

    Raises:
        TrainerError: the manifest, its signature or a file of the adapter is wrong.
    """
    file = folder / FILE
    try:
        text = file.read_text("utf-8")
        manifest = Manifest.model_validate_json(text)
    except OSError as error:
        raise TrainerError("input", f"the file cannot be read: {error.strerror}", str(file)) from None
    except (ValidationError, UnicodeDecodeError):
        raise TrainerError("input", "the file is not a manifest of this version", str(file)) from None
    _check_signature(folder, text, manifest.trained_by, public_key)
    try:
        weights.verify(folder / ADAPTER, manifest.adapter.digest, 1)
    except (weights.NotAsPromised, OSError, UnicodeDecodeError) as error:
        raise TrainerError(
            "refused",
            f"the adapter is not that of the manifest: {error}",
            str(folder / ADAPTER),
            "Train it again",
        ) from None
    return manifest


def _check_signature(folder: Path, text: str, trained_by: str | None, public_key: str | None) -> None:
    signature = folder / SIGNATURE
    fix = "Train it again with --signing-key"
    if public_key is not None and trained_by != public_key:
        raise TrainerError(
            "refused", f"{trained_by or 'nobody'} trained it, not {public_key}", str(folder / FILE), fix
        )
    if trained_by is None:
        return
    try:
        ssh_signatures.verify(signature.read_text("utf-8"), text, NAMESPACE, trained_by)
    except (OSError, ValueError, IndexError) as error:
        what = str(error) if isinstance(error, ssh_signatures.BadSignature) else "it cannot be read"
        raise TrainerError("refused", f"the signature is not valid: {what}", str(signature), fix) from None


def write_whole(file: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = file.with_name(f".{file.name}.writing")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
