"""What an upgrade would do to what is stateful, from the steps of a preview."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from isthmus.engine.preview.stateful_types import is_stateful

LOSES = {
    "delete": "delete",
    "discard": "delete",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "discard-replaced": "replace",
    "import-replacement": "replace",
}
"""The engine's operation → what a migration calls it."""


@dataclass(frozen=True)
class Loss:
    """A stateful resource that would be replaced or deleted."""

    type: str
    name: str
    op: str


def losses(steps: Iterable[dict[str, Any]]) -> set[Loss]:
    """Of a preview's steps (`pulumi preview --json`), those that lose something stateful."""
    losses_found = set()
    for step in steps:
        op = LOSES.get(step["op"])
        *_, chain, name = step["urn"].split("::")
        kind = chain.rpartition("$")[2]
        if op and is_stateful(kind):
            losses_found.add(Loss(kind, name, op))
    return losses_found


def written(migrations: Iterable[dict[str, Any]]) -> set[Loss]:
    """The losses to which `docs/migrations.yaml` consents; a `KeyError` where an entry lacks what it must say."""
    return {
        Loss(migration["type"], migration["name"], migration["op"])
        for migration in migrations
        if migration["since"] and migration["why"] and migration["steps"]
    }
