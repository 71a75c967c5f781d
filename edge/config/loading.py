"""Loads and checks a configuration file, and writes each error as one paragraph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from edge.config.base import ConfigError
from edge.config.chat import ChatConfig
from edge.config.detector import DetectorConfig
from edge.config.gateway import GatewayConfig
from edge.config.loader import LoaderConfig
from edge.config.notifier import NotifierConfig
from edge.config.review import ReviewsConfig
from edge.config.sealer import SealerConfig
from edge.config.sidecar import SidecarConfig
from edge.config.translator import PROVIDERS, TranslatorConfig
from edge.config.yaml_file import read_yaml
from edge.environment import as_file

Config = (
    GatewayConfig
    | SidecarConfig
    | TranslatorConfig
    | SealerConfig
    | DetectorConfig
    | ReviewsConfig
    | ChatConfig
    | NotifierConfig
    | LoaderConfig
)
_BY_MODE: Any = Annotated[Config, Field(discriminator="mode")]
_ADAPTER: TypeAdapter[Config] = TypeAdapter(_BY_MODE)


def load(path: Path) -> Config:
    """The configuration in a file or in `env:NAME`. Raises ConfigError."""
    try:
        file = Path(str(as_file(path)))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}.") from None
    return check(read_yaml(file), path)


def check(document: Any, path: Path) -> Config:
    """The configuration of a document. Raises ConfigError, which names every wrong key."""
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: the file must be a mapping with the key `mode`.")
    try:
        return _ADAPTER.validate_python(document)
    except ValidationError as error:
        sentences = [sentence for _, sentence in _problems(error, document)]
        raise ConfigError(f"{path}: {'; '.join(sentences)}.") from None


def problems(document: dict[str, Any]) -> list[tuple[Any, str]]:
    """Each wrong value of a document (None for a missing key), with a sentence that names its key."""
    try:
        _ADAPTER.validate_python(document)
    except ValidationError as error:
        return _problems(error, document)
    return []


def _problems(error: ValidationError, document: dict[str, Any]) -> list[tuple[Any, str]]:
    return [
        (
            None if problem["type"] == "missing" else problem["input"],
            _sentence(problem, document.get("mode")),
        )
        for problem in error.errors()
    ]


def _sentence(error: Any, mode: Any) -> str:
    location = list(error["loc"])
    if location and location[0] == mode:
        location.pop(0)
    # pydantic puts the provider of a model into the path, but it is not a key of the file.
    location = [
        part
        for at, part in enumerate(location)
        if not (at and part in PROVIDERS and isinstance(location[at - 1], int))
    ]
    key = ".".join(str(part) for part in location)
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "this key is unknown"
    elif error["type"] == "missing":
        message = "this key is missing"
    elif error["type"].startswith("union_tag"):
        tags = (
            ("mode", "gateway, sidecar, translator, sealer, detector, reviews, chat, notifier or loader")
            if not key
            else (f"{key}.provider", " or ".join(PROVIDERS))
        )
        key, message = tags[0], f"must be {tags[1]}"
    return f"{key}: {message}" if key else message
