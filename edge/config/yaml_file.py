"""Reads a YAML file of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from edge.config.base import ConfigError


def read_yaml(path: Path) -> Any:
    """The plain values of a YAML 1.2 file. Raises ConfigError, which names file and line but quotes no text."""
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{path}: the file cannot be read: {reason}.") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(
            f"{path}{line}: the file is not YAML 1.2: {getattr(error, 'problem', 'unreadable')}."
        ) from None
