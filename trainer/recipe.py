"""The recipe of a fine-tune: a YAML file with the base model, the data sets and the settings of the training."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from edge.classes import DataClass
from trainer.errors import TrainerError

CLASSES: tuple[DataClass, ...] = ("public", "internal", "confidential", "restricted")
"""From the lowest to the highest."""
DOCS = "docs/fine-tuning.md"
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Layer = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]+$")]
Filled = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Base(_Part):
    """The base model, which stays as it is."""

    model: Filled
    """Name of the model, for example `meta-llama/Llama-3.1-8B-Instruct`."""
    digest: Digest
    """Digest of its weights: the SHA-256 of the file SHA256SUMS in their folder."""
    licence: Filled
    """Its licence. It binds the adapter, too."""


class DataSet(_Part):
    """A data set: a folder of `isthmus sanitise`, or a file of `isthmus audit corrections`."""

    sanitised: Path | None = None
    """Folder that `isthmus sanitise` wrote, relative to the recipe."""
    corrections: Path | None = None
    """File that `isthmus audit corrections` wrote, relative to the recipe."""
    sha256: Digest
    """Digest of the folder's manifest.jsonl, or of the file."""
    source: Filled | None = None
    """Where the examples come from. Absent: every line says so."""
    consent: Filled | None = None
    """Why they may be used for training: the legal basis, `synthetic`, `public`. Absent: every line says so."""
    licence: Filled | None = None
    """Licence of the data. Absent: for corrections, that of their lines."""
    groups: list[Filled] = []
    """Groups whose people may see this data. Empty: everybody who may see its class."""

    @model_validator(mode="after")
    def _one_place(self) -> DataSet:
        if (self.sanitised is None) == (self.corrections is None):
            raise ValueError("a data set has either `sanitised` or `corrections`")
        if self.sanitised is not None and self.licence is None:
            raise ValueError("a sanitised data set needs its `licence`")
        return self


class Lora(_Part):
    """The shape of the adapter."""

    rank: Annotated[int, Field(ge=1, le=512)] = 16
    alpha: Annotated[int, Field(ge=1, le=1024)] = 32
    """Scale of the adapter: alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: Annotated[list[Layer], Field(min_length=1)] | Literal["all-linear"] = "all-linear"
    """Names of the layers that it changes."""


class Training(_Part):
    """How to train."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    """Seed of everything that is random."""
    epochs: Annotated[int, Field(ge=1, le=100)] = 1
    """How often each example is seen."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-4
    batch: Annotated[int, Field(ge=1, le=4096)] = 4
    """Examples of a forward pass."""
    accumulate: Annotated[int, Field(ge=1, le=4096)] = 1
    """Forward passes of a step."""
    max_tokens: Annotated[int, Field(ge=16, le=1_048_576)] = 2048
    """Longest example, in tokens. A longer one is refused, not cut."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Of the base model's weights."""
    checkpoint_steps: Annotated[int, Field(ge=1)] = 50
    """Steps from checkpoint to checkpoint."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Threads of the CPU. On a CPU, the bytes of the adapter depend on their number."""


class Memorisation(_Part):
    """What the adapter may know by heart, at most."""

    canaries: Annotated[int, Field(ge=4, le=64)] = 8
    """Random secrets that are mixed into the training data, each once an epoch."""
    references: Annotated[int, Field(ge=63, le=4095)] = 255
    """Secrets that were not trained, to compare each canary with."""
    max_exposure_bits: Annotated[float, Field(gt=0, le=12)] = 4.0
    """Mean exposure of the canaries at most. It is about 1.4 if nothing is memorised."""
    examples: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Training answers whose second half the adapter is asked to continue, at most."""
    max_extracted_percent: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Share of them that it may continue word by word where the base model does not."""


class Recipe(_Part):
    """A fine-tune."""

    name: Label
    """Name of the adapter, which requests give as the model."""
    data_class: Annotated[DataClass, Field(alias="class")]
    """Class of the adapter. No data of a higher class may be in it."""
    base: Base
    data: Annotated[list[DataSet], Field(min_length=1)]
    method: Literal["lora", "qlora"] = "lora"
    """`qlora` keeps the base model in 4 bits while it trains. It needs an NVIDIA GPU."""
    lora: Lora = Lora()
    training: Training
    holdout_percent: Annotated[int, Field(ge=1, le=50)] = 10
    """Share of the examples that are not trained, to measure the loss on."""
    memorisation: Memorisation = Memorisation()

    def sha256(self) -> str:
        """Digest of everything that it says, without layout, comments and the places of its data sets."""
        content = self.model_dump(mode="json", by_alias=True)
        for data in content["data"]:
            data["sanitised"], data["corrections"] = bool(data["sanitised"]), bool(data["corrections"])
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def load(file: Path) -> Recipe:
    """Read a recipe. Raises `TrainerError`, which names the file, the line and the key."""
    content = _read(file)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = _path_of(first["loc"], content)
        where = f"{file}:{_line_of(content, path)}"
        if path:
            where += f" {_text_of(path)}"
        raise TrainerError("input", _message_of(first), where, f"See the keys in {DOCS}") from None


def _read(file: Path) -> CommentedMap:
    try:
        content = YAML(typ="rt", pure=True).load(file.read_text("utf-8"))
    except OSError as error:
        raise TrainerError("input", f"the file cannot be read: {error.strerror}", str(file)) from None
    except UnicodeDecodeError:
        raise TrainerError("input", "the file is not UTF-8", str(file)) from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or "it is unreadable").split())
        raise TrainerError("input", f"the file is not YAML 1.2: {problem}", f"{file}{line}") from None
    if not isinstance(content, CommentedMap):
        raise TrainerError("input", "the file is not a recipe", str(file), f"See {DOCS}")
    return content


def _path_of(location: tuple[Any, ...], content: Any) -> list[str | int]:
    """Keys and indices to a value, without the names of a union's members that pydantic adds."""
    path: list[str | int] = []
    for part in location:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            if not isinstance(part, str) or not part.isidentifier():
                continue
        path.append(part)
    return path


def _text_of(path: list[str | int]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def _line_of(content: Any, path: list[str | int]) -> int:
    """The line of the last key that is there."""
    line, at = 1, content
    for part in path:
        try:
            line = (at.lc.key(part) if isinstance(part, str) else at.lc.item(part))[0] + 1
            at = at[part]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return line


def _message_of(error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return "this key is unknown"
    if kind == "missing":
        return "this key is missing"
    value = error["input"]
    shown = f", not {value!r}" if isinstance(value, (str, int, float)) and len(str(value)) <= 80 else ""
    if kind == "literal_error":
        return f"it must be {context['expected']}{shown}"
    if kind == "string_pattern_mismatch" and "sha256" in context["pattern"]:
        return f"it must be `sha256:` and 64 hexadecimal digits{shown}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{message}{shown}" if kind != "value_error" else message
