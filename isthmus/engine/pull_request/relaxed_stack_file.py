"""Finds changes of a stack's file beside its overrides and policies: which cluster, account or engine it means.

Every key decides, but for those that another comparison shows and those of the engine's own encryption.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.trust import Trust
from isthmus.core.errors import IsthmusError
from isthmus.engine.pull_request.approvable import Approvals, short_digest

if TYPE_CHECKING:
    from isthmus.engine.project.project import Stack

_COMPARED = ("overrides", "policies", "of", "layer", "serves")
"""Settings of Isthmus whose effect other comparisons show: on the platform, on the rules, on what a stack builds."""
_OF_ENCRYPTION = ("encryptionsalt", "encryptedkey")
"""Keys that the engine writes. They open nothing without the passphrase or key of `secretsprovider`."""
_LONGEST = 160


def stack_file_changes(before: Stack, after: Stack, trust: Trust, today: date) -> Iterator[RuleChange]:
    """Changed keys of a stack's file. One that the base's `trust` names (`changes`) is only shown.

    Nothing is compared where a commit lacks the stack.
    """
    old_keys, new_keys = _keys(before), _keys(after)
    approvals = Approvals(trust, today)
    if old_keys is None or new_keys is None:
        return
    for key in sorted({*old_keys, *new_keys}):
        old, new = (_text(keys.get(key)) for keys in (old_keys, new_keys))
        if old != new:
            what = f"{after.config_file.name}: {key}"
            value = f"{what}: {new or 'none'}"
            yield approvals.change(what, old, new, value)


def _keys(stack: Stack) -> dict[str, Any] | None:
    """The keys that decide, those of `config` by their qualified names; None if there is no such file."""
    from isthmus.core import yaml_files

    if not stack.config_file.is_file():
        return None
    try:
        data = yaml_files.load(stack.config_file).data
    except IsthmusError:
        return None  # the stack's own description says so
    config = data.get("config")
    keys = {key: value for key, value in data.items() if key != "config" and key not in _OF_ENCRYPTION}
    for key, value in (config if isinstance(config, dict) else {}).items():
        namespace, _, name = key.rpartition(":")
        if namespace not in ("", stack.project.name) or name not in _COMPARED:
            keys[f"{namespace or stack.project.name}:{name}"] = value
    return keys


def _text(value: Any) -> str:
    """The value on one line; what is encrypted or long, or has a `*`, by its digest."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    if isinstance(value, dict) or "*" in text or len(text) > _LONGEST or text != " ".join(text.split()):
        return f"sha256:{short_digest(text.encode())}"
    return text


__all__ = ["stack_file_changes"]
