"""The engine's account of a refresh that writes nothing: what its providers find of each resource that stands.

The account is whole when it ends with a summary and has spoken of every resource that the state has: what was not
looked at must not look as if it stood as it was.
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
"""How a look at one resource ends."""


@dataclass
class Refreshed:
    """What the engine has said. `on_event` is called from its event thread."""

    looked: dict[str, str] = field(default_factory=dict)
    """URN → how it ended."""
    old: dict[str, dict[str, Any]] = field(default_factory=dict)
    """URN → its inputs in the state."""
    new: dict[str, dict[str, Any]] = field(default_factory=dict)
    """URN → its inputs as its provider reads them now."""
    detailed: dict[str, list[str]] = field(default_factory=dict)
    """URN → paths that the provider says differ."""
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
        """What the account lacks of these resources, in words; empty where it is whole."""
        if not self.ended:
            return "the engine's account of what stands ends before its summary"
        if self.strange:
            return f"the engine speaks of ends that are not known here: {', '.join(sorted(self.strange))}"
        unreported = sorted(set(urns) - set(self.looked))
        if not unreported:
            return ""
        name = unreported[0].rsplit("::", 1)[-1]
        return f"the engine's account has no word of {len(unreported)} resources, {name} the first of them"

    def gone(self) -> set[str]:
        return {urn for urn, op in self.looked.items() if op == "delete"}

    def changed(self, types: Mapping[str, str], masker: Masker) -> dict[str, list[PropertyChange]]:
        """What we set and is different, by URN; `types` of those that are asked for."""
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
