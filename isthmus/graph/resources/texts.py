"""Reads YAML configurations in resources fast and only once, because many rules need the same ones.

libyaml, which Pulumi includes, is a hundred times faster than the parser for users' files, which records lines for
messages. It reads YAML 1.1, where `off` is false; no check depends on the difference.
"""

from __future__ import annotations

import functools
from typing import Any

from isthmus.core.errors import InputError


@functools.lru_cache(maxsize=1024)
def load_config(text: str, name: str = "") -> dict[str, Any]:
    """The mapping in a text. It is shared, so do not change it. Raises `InputError` if the text is not a mapping."""
    import yaml

    try:
        data = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (a safe loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InputError("the configuration does not parse as YAML", where=name) from None
    if not isinstance(data, dict):
        raise InputError("the configuration is not a mapping of keys to values", where=name)
    return data
