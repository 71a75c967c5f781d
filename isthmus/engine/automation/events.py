"""What the engine says while it works, gathered: counts, failures, replacements, what goes on now."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.state.interrupted_creations import Creation, state_entry

CREATE, UPDATE, DELETE, SAME, REPLACE = "create", "update", "delete", "same", "replace"
_KIND = {
    "create": CREATE,
    "import": CREATE,
    "read": SAME,
    "same": SAME,
    "update": UPDATE,
    "delete": DELETE,
    "create-replacement": REPLACE,
    "replace": REPLACE,
    "delete-replaced": DELETE,
}
_VERBS = {CREATE: "created", UPDATE: "updated", DELETE: "deleted", REPLACE: "replaced"}
_COLOUR = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")


class Watcher(Protocol):
    """Is told how a run goes on; called from the engine's event thread."""

    def changed(self, run: Run, line: str | None) -> None:
        """Something moved; `line` is worth a line of its own."""
        ...


@dataclass(frozen=True)
class Failure:
    """An error that the engine reported; `urn` names the resource, where it is about one."""

    urn: str | None
    message: str
    site: str = ""
    """The logical name of its provider, which is the site's."""


@dataclass
class Run:
    """One run of the engine, as its events tell it. Counts leave out components, the stack and providers."""

    watcher: Watcher | None = None
    expected: int = 0
    """How many resources the stack had before; the total is never shown as less."""
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    replacements: dict[str, list[str]] = field(default_factory=dict)
    """URN → the properties that force the replacement."""
    changed_urns: dict[str, str] = field(default_factory=dict)
    """URN → create, update, delete or replace."""
    doing: dict[str, float] = field(default_factory=dict)
    """URN of what is being made now → since when (monotonic seconds)."""
    on_lost: Callable[[Creation], None] | None = None
    """Is told of a creation that failed, at once: this process may be killed before the engine ends."""
    lost: list[Creation] = field(default_factory=list)
    """Creations that failed: whether what they were to make exists is not known."""
    refreshing: bool = False
    seen: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    began: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    _sites: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def total(self) -> int:
        """Resources of the run, as far as known: it grows while the program speaks."""
        return max(len(self.seen), self.expected)

    @property
    def oldest(self) -> str:
        """URN of what is being made for the longest; empty where nothing is."""
        return min(self.doing.items(), key=lambda doing_since: doing_since[1], default=("", 0.0))[0]

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def on_event(self, event: Any) -> None:
        """Take one event of the Automation API."""
        line = None
        with self._lock:
            if event.resource_pre_event:
                line = self._begins(event.resource_pre_event.metadata)
            elif event.res_outputs_event:
                line = self._ends(event.res_outputs_event.metadata)
            elif event.res_op_failed_event:
                self._fails(event.res_op_failed_event.metadata)
            elif event.diagnostic_event:
                self._says(event.diagnostic_event)
        if self.watcher:
            self.watcher.changed(self, line)

    def _fails(self, step: Any) -> None:
        self.doing.pop(step.urn, None)
        self.counts["failed"] += 1
        if operation_of(step) in ("create", "create-replacement") and is_counted(step) and step.new:
            lost = Creation(state_entry(step.new), self.began)
            self.lost.append(lost)
            if self.on_lost:
                # What cannot be written now is written, or told, at the run's end.
                with contextlib.suppress(EnvironmentFault, OSError):
                    self.on_lost(lost)

    def _begins(self, step: Any) -> str | None:
        op, urn = operation_of(step), step.urn
        state = step.new or step.old
        self._sites[urn] = site_of(getattr(state, "provider", None) or step.provider or "")
        self.refreshing = op == "refresh"
        if op == "refresh" or not is_counted(step):
            return None
        self.seen.add(urn)
        if op in ("replace", "create-replacement") and urn not in self.replacements:
            self.replacements[urn] = _reasons(step)
            because = ", ".join(self.replacements[urn]) or "its provider says so"
            return f"replaces {resource_label(urn)}, because of {because}"
        if op != "same":
            self.doing.setdefault(urn, time.monotonic())
        return None

    def _ends(self, step: Any) -> str | None:
        op, urn = operation_of(step), step.urn
        kind = _KIND.get(op)
        since = self.doing.pop(urn, None)
        if kind is None or not is_counted(step):
            return None
        # A replacement is told by three steps; its creation is the one that counts.
        if op in ("replace", "delete-replaced"):
            return None
        self.done.add(urn)
        self.counts[kind] += 1
        if kind == SAME:
            return None
        self.changed_urns[urn] = kind
        took = f" ({time.monotonic() - since:.1f} s)" if since is not None else ""
        return f"{_VERBS[kind]} {resource_label(urn)}{took}"

    def _says(self, diagnostic: Any) -> None:
        message = _COLOUR.sub("", diagnostic.message or "").strip()
        if not message:
            return
        if diagnostic.severity == "error":
            self.failures.append(
                Failure(diagnostic.urn or None, message, self._sites.get(diagnostic.urn or "", ""))
            )
        elif diagnostic.severity == "warning":
            self.warnings.append(message)


def resource_label(urn: str) -> str:
    """A resource as people name it: `Deployment bank-restricted-llama-70b`."""
    segments = urn.split("::")
    if len(segments) < 4:
        return urn
    return f"{segments[2].split('$')[-1].split(':')[-1]} {segments[3]}"


def site_of(provider: str) -> str:
    """The provider's logical name, from its reference `URN::ID`; empty where there is none."""
    segments = provider.split("::")
    return segments[-2] if len(segments) >= 5 else ""


def operation_of(step: Any) -> str:
    op = step.op
    return str(getattr(op, "value", op))


def is_counted(step: Any) -> bool:
    state = step.new or step.old
    return bool(getattr(state, "custom", False)) and not (step.type or "").startswith("pulumi:")


def _reasons(step: Any) -> list[str]:
    detailed = step.detailed_diff or {}
    forced = sorted(
        path
        for path, diff in detailed.items()
        if str(getattr(diff.diff_kind, "value", "")).endswith("replace")
    )
    return forced or sorted(step.keys or step.diffs or [])
