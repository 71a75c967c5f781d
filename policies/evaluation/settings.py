"""Reads policy settings from `policies.yaml`, `trust.yaml` and `Pulumi.yaml`, and from a stack's config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from isthmus.contracts import trust
from isthmus.contracts.policy_settings import FILE, Settings, parse
from isthmus.core import yaml_documents, yaml_files
from isthmus.core.errors import InputError
from policies.evaluation.registry import IDS

_PROJECT_FILE = "Pulumi.yaml"
KEY = "policies"
"""Key in a stack's config: `isthmus:policies`."""


def load_settings(root: Path) -> Settings:
    """Settings of `policies.yaml` and `trust.yaml` in a project's folder, and the plugins that `Pulumi.yaml` states.

    Without the first every rule is on and nothing is silenced; without the second nothing foreign is trusted. Raises
    `InputError` for an unknown setting, rule or kind.
    """
    file = root / FILE
    settings = parse(yaml_files.load(file), IDS) if file.exists() else Settings()
    return settings.model_copy(update={"plugins": _plugins(root / _PROJECT_FILE), "trust": trust.read(root)})


def _plugins(file: Path) -> list[str]:
    """Plugins that a project's file puts in place of Pulumi's own, as `NAME (PLACE)`."""
    if not file.exists():
        return []
    stated = yaml_files.load(file).data.get("plugins")
    if stated is None:
        return []
    lists = stated.values() if isinstance(stated, dict) else [stated]
    entries = [entry for listed in lists for entry in (listed if isinstance(listed, list) else [listed])]
    return [
        f"{entry.get('name')} ({entry.get('path')})" if isinstance(entry, dict) else str(entry)
        for entry in entries
    ]


def parse_stack_settings(value: Any, where: str) -> Settings:
    """Settings of a stack's config, which the engine passes as JSON. Raises `InputError` like `load_settings`."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, dict):
        raise InputError(
            f"`{KEY}` must be a mapping",
            where=where or f"isthmus:{KEY}",
            fix="Put the keys `off`, `silences` or `figures` under it, as in docs/policies.md",
        )
    return parse(yaml_documents.Document(value, where or None), IDS)
