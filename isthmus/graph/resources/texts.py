"""Configurations that stand as YAML in a resource: read fast and once, for many rules ask for the same few.

libyaml, which Pulumi brings, reads them a hundred times faster than what reads the files that people write; those
want lines for their errors, these do not. It takes YAML 1.1: `off` is false. Nothing that is judged hangs on it.
"""

from __future__ import annotations

import functools
from typing import Any

from isthmus.core.errors import InputError


@functools.lru_cache(maxsize=1024)
def load_config(text: str, name: str = "") -> dict[str, Any]:
    """The mapping that a text is, shared: to be read, not changed. Raises `InputError` where it is none."""
    import yaml

    try:
        data = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (a safe loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InputError("the configuration does not parse as YAML", where=name) from None
    if not isinstance(data, dict):
        raise InputError("the configuration is no mapping", where=name)
    return data
