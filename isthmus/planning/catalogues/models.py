"""Catalogue of open models, and models read from a user's `config.json`."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.core.errors import InputError
from isthmus.planning.catalogues import tables
from isthmus.planning.catalogues.architecture import Architecture
from isthmus.planning.catalogues.model_config import architecture
from isthmus.planning.catalogues.precision import BYTES


@dataclass(frozen=True)
class Model:
    """A model that can be served on GPUs."""

    id: str
    """The hub's name, or the path of a configuration."""
    task: str
    """`chat`, `embedding`, `rerank` or `guard`."""
    architecture: Architecture
    context: int
    """Tokens that its publisher supports."""
    precisions: tuple[str, ...]
    """Precisions of published weights. Empty for a user's `config.json`: any."""
    vision: int
    """Parameters of a vision tower, which is loaded in 16 bits in addition to the text model."""
    sixteen_bit: tuple[tuple[str, int], ...]
    """By precision: parameters that stay in 16 bits, without embeddings, in the largest published repository."""
    excludes: tuple[tuple[str, str], ...]
    """Uses that the licence excludes or restricts: code and sentence."""
    licence: str
    source: str
    as_of: str

    def extra_weight_bytes(self, precision: str) -> float:
        """Return the bytes of weights in addition to the text model's in that precision."""
        left = dict(self.sixteen_bit).get(precision, 0)
        return self.vision * 2.0 + left * (2.0 - BYTES[precision])


def rows() -> tuple[dict[str, Any], ...]:
    """Return the rows of the catalogue's file."""
    return tables.rows("models")


def ids() -> tuple[str, ...]:
    return tuple(row["id"] for row in rows())


@functools.cache
def find_model(id: str) -> Model:
    """Return a model by its hub id, or by the path of a `config.json` or of its folder.

    Raises `InputError` for an unknown name, with the nearest one, and for a configuration that cannot be read.
    """
    for row in rows():
        if row["id"] == id:
            return _model_from_row(row)
    path = Path(id)
    if path.suffix == ".json" or path.is_dir() or id.startswith((".", "/")):
        return from_config_file(path / "config.json" if path.is_dir() else path)
    from isthmus.core.validation_errors import nearest

    # Compare without the owner if none was given.
    names = {(model_id if "/" in id else model_id.partition("/")[2]): model_id for model_id in ids()}
    nearest_name = nearest(id, names)
    suggestion = f"Did you mean `{names[nearest_name]}`?" if nearest_name else ""
    raise InputError(
        f"the model `{id}` is not in the catalogue",
        where="--model",
        fix=f"{suggestion} For a model of your own, pass the path of its `config.json`".strip(),
    )


def from_config_file(path: Path) -> Model:
    """Return a model from a user's `config.json`. Raises `InputError` for a file that cannot be read."""
    try:
        if path.stat().st_size > 1 << 20:
            raise InputError(
                f"{path} is over 1 MiB, so it is not a model's configuration",
                where="--model",
                fix="Pass the path of the model's `config.json`",
            )
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{os.fspath(path)} cannot be read as JSON: {error}",
            where="--model",
            fix="Pass the path of the model's `config.json`",
        ) from None
    if not isinstance(config, dict):
        raise InputError(
            f"{path} is JSON, but not an object",
            where="--model",
            fix="Pass the path of the model's `config.json`",
        )
    parsed = architecture(config, os.fspath(path))
    return Model(
        id=os.fspath(path),
        task="embedding" if parsed.encoder else "chat",
        architecture=parsed,
        context=parsed.context,
        precisions=(),
        vision=0,
        sixteen_bit=(),
        excludes=(),
        licence="as its owner says",
        source=f"{path.name} of the user's own",
        as_of="",
    )


def _model_from_row(row: dict[str, Any]) -> Model:
    parsed = architecture(row["config"], row["id"])
    # Of the published parameters beyond the text model, a vision tower is loaded; layers for speculation are not.
    vision = max(0, row["parameters"]["total"] - parsed.total) if "multimodal" in row["tags"] else 0
    left: dict[str, int] = {}
    for published in row["precisions"]:
        left[published["precision"]] = max(
            left.get(published["precision"], 0), published.get("sixteen_bit", 0)
        )
    return Model(
        id=row["id"],
        task=row["task"],
        architecture=parsed,
        context=row["context_tokens"],
        precisions=tuple(dict.fromkeys(published["precision"] for published in row["precisions"])),
        vision=vision,
        sixteen_bit=tuple((name, count) for name, count in left.items() if count),
        excludes=tuple((exclusion["code"], exclusion["text"]) for exclusion in row["licence"]["excludes"]),
        licence=row["licence"]["name"],
        source=row["evidence"]["source"],
        as_of=row["evidence"]["as_of"],
    )
