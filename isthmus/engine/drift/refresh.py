"""Collects the engine's events of a refresh that writes nothing: how each resource differs from the state.

The collection is complete if it ends with a summary and covers every resource of the state. A resource that was not
read must not look unchanged.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.reports.preview import Diagnostic, PropertyChange
from isthmus.engine.preview.changes import properties
from isthmus.engine.preview.engine_steps import Account
from isthmus.engine.preview.masking import Masker

_RESULTS = ("same", "update", "delete", "refresh")
"""Operations that end the read of one resource."""


@dataclass
class Refreshed:
    """The collected events. `on_event` is called from the engine's event thread."""

    looked: dict[str, str] = field(default_factory=dict)
    """URN → operation that ended its read."""
    old: dict[str, dict[str, Any]] = field(default_factory=dict)
    """URN → its inputs in the state."""
    new: dict[str, dict[str, Any]] = field(default_factory=dict)
    """URN → its inputs as its provider reads them now."""
    detailed: dict[str, list[str]] = field(default_factory=dict)
    """URN → paths that the provider reports as different."""
    stands: dict[str, dict[str, Any]] = field(default_factory=dict)
    """URN → its outputs now."""
    ended: bool = False
    strange: set[str] = field(default_factory=set)
    _spoken: Account = field(default_factory=Account)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on_event(self, event: Any) -> None:
        """Take one event of the Automation API."""
        if event.diagnostic_event:
            self._spoken.on_event(event)
        with self._lock:
            if event.res_outputs_event:
                self._looked(event.res_outputs_event.metadata)
            elif event.summary_event:
                self.ended = True

    def diagnostics(self, masker: Masker) -> list[Diagnostic]:
        """Errors and warnings, each once, errors first."""
        return self._spoken.diagnostics(masker)

    def missing(self, urns: Iterable[str]) -> str:
        """Description of what is missing for these resources; empty if the collection is complete."""
        if not self.ended:
            return "the engine's events of the refresh end before their summary"
        if self.strange:
            return f"the engine reports results that this version does not know: {', '.join(sorted(self.strange))}"
        unreported = sorted(set(urns) - set(self.looked))
        if not unreported:
            return ""
        name = unreported[0].rsplit("::", 1)[-1]
        return f"the engine reported nothing about {len(unreported)} resources, the first is {name}"

    def gone(self) -> set[str]:
        return {urn for urn, op in self.looked.items() if op == "delete"}

    def changed(self, types: Mapping[str, str], masker: Masker) -> dict[str, list[PropertyChange]]:
        """URN → changed properties. `types`: URN → type of the resources to check."""
        changes_by_urn = {}
        for urn in sorted(set(types) & set(self.new)):
            if self.looked[urn] not in ("update", "refresh"):
                continue
            changes = properties(
                types[urn],
                self.old.get(urn, {}),
                self.new[urn],
                masker,
                provider_paths=[
                    path for path in self.detailed.get(urn, ()) if _first_key(path) in self.old.get(urn, {})
                ],
                outputs=self.stands.get(urn),
            )
            if changes:
                changes_by_urn[urn] = changes
        return changes_by_urn

    def _looked(self, metadata: Any) -> None:
        op = str(getattr(metadata.op, "value", metadata.op))
        if op not in _RESULTS:
            self.strange.add(op)
            return
        self.looked[metadata.urn] = op
        if metadata.old is not None:
            self.old[metadata.urn] = dict(metadata.old.inputs or {})
        if metadata.new is not None:
            self.new[metadata.urn] = dict(metadata.new.inputs or {})
            self.stands[metadata.urn] = dict(metadata.new.outputs or {})
        self.detailed[metadata.urn] = sorted(metadata.detailed_diff or {})


def _first_key(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]
