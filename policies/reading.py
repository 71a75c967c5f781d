"""Where an organisation's word on the policies stands, and how it is read: its file, and a stack's own config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from isthmus.contracts import yamlfile
from isthmus.contracts.errors import InputError
from isthmus.contracts.policy_settings import FILE, Settings, joined, parse
from policies.catalogue import IDS

KEY = "policies"
"""In a stack's config: `isthmus:policies`."""


def settings(root: Path, stated: Any = None, where: str = "") -> Settings:
    """What `policies.yaml` in a project's folder says, and a stack's config `stated` on top of it.

    Raises `InputError` for a setting or a rule that there is not, whoever wrote it. No file and no config: every
    rule, nothing silenced.
    """
    file = root / FILE
    found = parse(yamlfile.load(file), IDS) if file.exists() else Settings()
    if stated is None:
        return found
    return joined(found, parse(yamlfile.Document(_mapping(stated, where), where or None), IDS))


def _mapping(stated: Any, where: str) -> dict[str, Any]:
    """A structure of a stack's config, which the engine hands on as JSON."""
    if isinstance(stated, str):
        try:
            stated = json.loads(stated)
        except ValueError:
            stated = None
    if not isinstance(stated, dict):
        raise InputError(
            f"`{KEY}` is not a mapping",
            where=where or f"isthmus:{KEY}",
            todo="Write `off`, `silences` and `figures` below it, as docs/policies.md shows",
        )
    return stated
