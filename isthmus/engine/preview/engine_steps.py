"""The engine's account of a preview: what its events say, as the changes of `isthmus preview`.

The account is whole when the engine has said how many of each operation there are, and we have seen as many: an
event stream that was cut off must not look like a stack that stays as it is.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.reports.findings import Finding, Severity
from isthmus.contracts.reports.preview import Change, Diagnostic, Op
from isthmus.engine.preview.changes import DEFAULTS, counts, ordered, properties
from isthmus.engine.preview.comparison import is_shown
from isthmus.engine.preview.masking import Masker
from isthmus.engine.preview.stateful_types import is_stateful

_OPS: dict[str, Op] = {
    "same": "same",
    "create": "create",
    "update": "update",
    "delete": "delete",
    "discard": "delete",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "discard-replaced": "replace",
    "read-replacement": "replace",
    "import-replacement": "replace",
    "read": "read",
    "import": "import",
}
"""A replacement is told by three steps, in whichever order."""
_REFRESH_OPS = ("refresh", "remove-pending-replace")
"""Of the look at what stands, before the plan is made."""
_COLOUR = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")
_MACHINE_MESSAGE = re.compile(r"using pulumi-[a-z-]+ from \$PATH at ")
_RANDOM_SUFFIX = re.compile(r"[0-9a-f]{7,}$")
_SEVERITY_OF_LEVEL: dict[str, Severity] = {"mandatory": "high", "remediate": "medium", "advisory": "medium"}


@dataclass
class Account:
    """What the engine has said. `on_event` is called from its event thread."""

    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    """URN → the step that tells most of it, by the engine's operation."""
    seen: Counter[str] = field(default_factory=Counter)
    said: dict[str, int] | None = None
    """How many of each operation there are, by the engine's own summary at the end."""
    unknown_ops: set[str] = field(default_factory=set)
    _diagnostics: list[tuple[str, str, str]] = field(default_factory=list)
    _policies: list[Any] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on_event(self, event: Any) -> None:
        """Take one event of the Automation API."""
        with self._lock:
            if event.resource_pre_event:
                self._step(event.resource_pre_event.metadata)
            elif event.diagnostic_event:
                self._diagnostic(event.diagnostic_event)
            elif event.policy_event:
                self._policies.append(event.policy_event)
            elif event.summary_event:
                self.said = {
                    str(getattr(op, "value", op)): int(number)
                    for op, number in (event.summary_event.resource_changes or {}).items()
                }

    @property
    def missing(self) -> str:
        """What the account lacks, in words; empty where it is whole."""
        if self.said is None:
            return "the engine's account of the preview ends before its summary"
        if self.unknown_ops:
            return f"the engine speaks of operations that are not known here: {', '.join(sorted(self.unknown_ops))}"
        short = [
            f"{number} to {op}, of which {self.seen[op]} were told"
            for op, number in sorted(self.said.items())
            if self.seen[op] < number
        ]
        return f"the engine's account of the preview has gaps: {', '.join(short)}" if short else ""

    def changes(self, masker: Masker) -> list[Change]:
        """All but what stays the same. For a name that a provider has made up stands whose it is."""
        names = _generated_names(self.steps.values())
        changes = (
            _change({**step, "new": _replace_names(step["new"], names)}, masker)
            for step in self.steps.values()
        )
        return ordered(change for change in changes if change is not None)

    def summary(self) -> dict[Op, int]:
        """Counts by operation; components, providers and the stack left out."""
        ops: list[Op] = [
            _OPS[step["op"]]
            for step in self.steps.values()
            if step["custom"] and not step["type"].startswith("pulumi:")
        ]
        return counts(ops)

    def diagnostics(self, masker: Masker) -> list[Diagnostic]:
        """Errors and warnings, each once, errors first."""
        diagnostics = [
            Diagnostic(
                severity="error" if level == "error" else "warning", message=masker.text(text), urn=urn
            )
            for level, text, urn in dict.fromkeys(self._diagnostics)
        ]
        return sorted(
            diagnostics, key=lambda diagnostic: (diagnostic.severity, diagnostic.urn, diagnostic.message)
        )

    def findings(self, stack: str, masker: Masker) -> list[Finding]:
        """What policy packs said that the engine itself was told to load."""
        return [_finding(event, stack, masker) for event in self._policies]

    def _step(self, metadata: Any) -> None:
        op = str(getattr(metadata.op, "value", metadata.op))
        if op in _REFRESH_OPS:
            return
        self.seen[op] += 1
        if op not in _OPS:
            self.unknown_ops.add(op)
            return
        new, old = metadata.new, metadata.old
        state = new or old
        step = {
            "op": op,
            "urn": metadata.urn,
            "type": metadata.type or getattr(state, "type", ""),
            "custom": bool(getattr(state, "custom", False)),
            "parent": getattr(state, "parent", "") or "",
            "old": dict(getattr(old, "inputs", None) or {}) if old is not None else None,
            "stands": dict(getattr(old, "outputs", None) or {}) if old is not None else None,
            "new": dict(getattr(new, "inputs", None) or {}) if new is not None else None,
            "retained": bool(getattr(old, "retain_on_delete", False)),
            "keys": list(metadata.keys or []),
            "diffs": list(metadata.diffs or []),
            "detailed": {
                path: str(getattr(diff.diff_kind, "value", diff.diff_kind))
                for path, diff in (metadata.detailed_diff or {}).items()
            },
        }
        earlier = self.steps.get(metadata.urn)
        self.steps[metadata.urn] = step if earlier is None else _merge_steps(earlier, step)

    def _diagnostic(self, event: Any) -> None:
        text = _COLOUR.sub("", event.message or "").strip()
        if event.ephemeral or event.severity not in ("error", "warning") or not text:
            return
        if not _MACHINE_MESSAGE.match(text):
            self._diagnostics.append((event.severity, text, event.urn or ""))


def _generated_names(steps: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Names with a random end that providers gave to what they will make: others the next time that they are asked."""
    placeholders = {}
    for step in steps:
        new, name = step["new"] or {}, _logical_name(step["urn"])
        for key in new.get(DEFAULTS) or ():
            value = new.get(key)
            if (
                isinstance(value, str)
                and value != (step["old"] or {}).get(key)
                and _is_generated(value, name)
            ):
                placeholders[value] = f"${{{name}.{key}}}"
    return placeholders


def _is_generated(value: str, name: str) -> bool:
    """Whether it is a name of the engine's making: the logical one, perhaps cut short, and seven or more hexadecimal
    digits behind it."""
    end = _RANDOM_SUFFIX.search(value)
    return end is not None and end.start() > 0 and name.startswith(value[: end.start()].rstrip("-_"))


def _replace_names(value: Any, names: Mapping[str, str]) -> Any:
    if not names:
        return value
    if isinstance(value, Mapping):
        defaults = value.get(DEFAULTS) or ()
        return {
            key: member if key in defaults else _replace_names(member, names) for key, member in value.items()
        }
    if isinstance(value, list):
        return [_replace_names(member, names) for member in value]
    if isinstance(value, str):
        for name, placeholder in names.items():
            value = value.replace(name, placeholder)
    return value


def _merge_steps(earlier: dict[str, Any], step: dict[str, Any]) -> dict[str, Any]:
    """Two steps of one resource as one: a replacement by its deletion and its creation."""
    first, second = _OPS[earlier["op"]], _OPS[step["op"]]
    merged = {**step, **{key: value for key, value in earlier.items() if value not in (None, [], {}, "")}}
    if "replace" in (first, second) or {first, second} == {"create", "delete"}:
        merged["op"] = "replace"
    else:
        merged["op"] = step["op"] if first == "same" else earlier["op"]
    return merged | {"retained": earlier["retained"] or step["retained"]}


def _change(step: dict[str, Any], masker: Masker) -> Change | None:
    op, type_ = _OPS[step["op"]], step["type"]
    if op == "same" or not is_shown(type_, custom=step["custom"]):
        return None
    changes = properties(
        type_,
        step["old"] if op not in ("create", "import") else None,
        step["new"] if op != "delete" else None,
        masker,
        provider_paths=step["detailed"],
        outputs=step["stands"],
    )
    all_noise = all(change.noise for change in changes)
    # What others own is read again each time, and the engine says of it less than the state does.
    is_reread = op == "read" and step["old"] is not None
    if is_reread or (type_.startswith("pulumi:") and all_noise):
        return None
    return Change(
        urn=step["urn"],
        op=op,
        type=type_,
        name=_logical_name(step["urn"]),
        component="" if "::pulumi:pulumi:Stack::" in step["parent"] else _logical_name(step["parent"]),
        properties=changes,
        replaces_because=_reasons(step) if op == "replace" else [],
        stateful=is_stateful(type_),
        retained=op in ("delete", "replace") and step["retained"],
    )


def _reasons(step: dict[str, Any]) -> list[str]:
    forced = sorted(path for path, kind in step["detailed"].items() if kind.endswith("replace"))
    return forced or sorted(step["keys"] or step["diffs"])


def _logical_name(urn: str) -> str:
    segments = urn.split("::", 3)
    return segments[3] if len(segments) == 4 else urn


def _finding(event: Any, stack: str, masker: Masker) -> Finding:
    urn = event.resource_urn or ""
    return Finding(
        policy=f"{event.policy_pack_name}/{event.policy_name}",
        title=event.policy_name,
        severity=_SEVERITY_OF_LEVEL.get(event.enforcement_level, "high"),
        stack=stack,
        urn=urn,
        resource=_logical_name(urn) if urn else "",
        message=masker.text(_COLOUR.sub("", event.message or "").strip()),
        why=f"the policy pack {event.policy_pack_name} {event.policy_pack_version_tag or ''}".strip()
        + " says so",
        fix="see the policy pack",
    )
