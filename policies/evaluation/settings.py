"""Where an organisation's word on the policies stands, and how it is read: its file, and a stack's own config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from isthmus.contracts.policy_settings import FILE, Settings, parse
from isthmus.core import yaml_documents, yaml_files
from isthmus.core.errors import InputError
from policies.evaluation.registry import IDS

KEY = "policies"
"""In a stack's config: `isthmus:policies`."""


def settings(root: Path) -> Settings:
    """What `policies.yaml` in a project's folder says; without it: every rule, nothing silenced.

    Raises `InputError` for a setting or a rule that there is not.
    """
    file = root / FILE
    return parse(yaml_files.load(file), IDS) if file.exists() else Settings()


def stated(value: Any, where: str) -> Settings:
    """What a stack's own config says. The engine hands a structure on as JSON. Raises as `settings` does."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, dict):
        raise InputError(
            f"`{KEY}` is not a mapping",
            where=where or f"isthmus:{KEY}",
            fix="Write `off`, `silences` and `figures` below it, as docs/policies.md shows",
        )
    return parse(yaml_documents.Document(value, where or None), IDS)
