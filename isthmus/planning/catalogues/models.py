"""The catalogue of open models, and a model of the user's own from its `config.json`."""

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
    """One model that can be served on GPUs of ours."""

    id: str
    """The hub's name, or the path of a configuration."""
    task: str
    """`chat`, `embedding`, `rerank` or `guard`."""
    architecture: Architecture
    context: int
    """Tokens that its publisher supports."""
    precisions: tuple[str, ...]
    """Those that somebody publishes weights in; empty for a configuration of one's own: any."""
    vision: int
    """Parameters besides the text model that are loaded too, in 16 bits: a vision tower."""
    sixteen_bit: tuple[tuple[str, int], ...]
    """By precision: parameters that the heaviest of its repositories leaves in 16 bits, embeddings aside."""
    excludes: tuple[tuple[str, str], ...]
    """Whom the licence excludes or binds: code and sentence."""
    licence: str
    source: str
    as_of: str

    def beside(self, precision: str) -> float:
        """Bytes of weights beyond the text model's own in that precision."""
        left = dict(self.sixteen_bit).get(precision, 0)
        return self.vision * 2.0 + left * (2.0 - BYTES[precision])


def rows() -> tuple[dict[str, Any], ...]:
    """The catalogue as it stands in its file."""
    return tables.rows("models")


def ids() -> tuple[str, ...]:
    return tuple(row["id"] for row in rows())


@functools.cache
def find(id: str) -> Model:
    """A model by its hub id, or by the path of a `config.json` (or of the folder that has one).

    Raises `InputError` for a name that is neither, with the nearest one, and for a configuration of unknown kind.
    """
    for row in rows():
        if row["id"] == id:
            return _of_row(row)
    path = Path(id)
    if path.suffix == ".json" or path.is_dir() or id.startswith((".", "/")):
        return of_config(path / "config.json" if path.is_dir() else path)
    from isthmus.core.validation_errors import nearest

    # Without an owner where none was given.
    names = {(each if "/" in id else each.partition("/")[2]): each for each in ids()}
    near = nearest(id, names)
    meant = f"Did you mean `{names[near]}`?" if near else ""
    raise InputError(
        f"the model `{id}` is not in the catalogue",
        where="--model",
        fix=f"{meant} Name the path of its `config.json` for a model of your own".strip(),
    )


def of_config(path: Path) -> Model:
    """A model of the user's own. Raises `InputError` for a file that cannot be read or understood."""
    try:
        if path.stat().st_size > 1 << 20:
            raise InputError(
                f"{path} is no model's configuration: it is over 1 MiB", fix="Name its `config.json`"
            )
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{os.fspath(path)} cannot be read as JSON: {error}",
            where="--model",
            fix="Name the model's `config.json`",
        ) from None
    if not isinstance(told, dict):
        raise InputError(
            f"{path} holds no configuration", where="--model", fix="Name the model's `config.json`"
        )
    known = architecture(told, os.fspath(path))
    return Model(
        id=os.fspath(path),
        task="embedding" if known.encoder else "chat",
        architecture=known,
        context=known.context,
        precisions=(),
        vision=0,
        sixteen_bit=(),
        excludes=(),
        licence="as its owner says",
        source=f"{path.name} of the user's own",
        as_of="",
    )


def _of_row(row: dict[str, Any]) -> Model:
    known = architecture(row["config"], row["id"])
    # What is published besides the text model: a vision tower is loaded, layers for speculation are not.
    vision = max(0, row["parameters"]["total"] - known.total) if "multimodal" in row["tags"] else 0
    left: dict[str, int] = {}
    for each in row["precisions"]:
        left[each["precision"]] = max(left.get(each["precision"], 0), each.get("sixteen_bit", 0))
    return Model(
        id=row["id"],
        task=row["task"],
        architecture=known,
        context=row["context_tokens"],
        precisions=tuple(dict.fromkeys(each["precision"] for each in row["precisions"])),
        vision=vision,
        sixteen_bit=tuple((name, count) for name, count in left.items() if count),
        excludes=tuple((each["code"], each["text"]) for each in row["licence"]["excludes"]),
        licence=row["licence"]["name"],
        source=row["evidence"]["source"],
        as_of=row["evidence"]["as_of"],
    )
