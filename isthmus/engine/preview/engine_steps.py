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
from isthmus.engine.preview.comparison import shown
from isthmus.engine.preview.masking import Masker
from isthmus.engine.preview.stateful_types import stateful

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
_NO_STEPS = ("refresh", "remove-pending-replace")
"""Of the look at what stands, before the plan is made."""
_COLOUR = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")
_OF_THE_MACHINE = re.compile(r"using pulumi-[a-z-]+ from \$PATH at ")
_RANDOM = re.compile(r"[0-9a-f]{7,}$")
_LEVELS: dict[str, Severity] = {"mandatory": "high", "remediate": "medium", "advisory": "medium"}


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
        names = _made_up(self.steps.values())
        made = (_change({**step, "new": _whose(step["new"], names)}, masker) for step in self.steps.values())
        return ordered(each for each in made if each is not None)

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
        found = [
            Diagnostic(
                severity="error" if level == "error" else "warning", message=masker.text(text), urn=urn
            )
            for level, text, urn in dict.fromkeys(self._diagnostics)
        ]
        return sorted(found, key=lambda each: (each.severity, each.urn, each.message))

    def findings(self, stack: str, masker: Masker) -> list[Finding]:
        """What policy packs said that the engine itself was told to load."""
        return [_finding(each, stack, masker) for each in self._policies]

    def _step(self, meta: Any) -> None:
        op = str(getattr(meta.op, "value", meta.op))
        if op in _NO_STEPS:
            return
        self.seen[op] += 1
        if op not in _OPS:
            self.unknown_ops.add(op)
            return
        new, old = meta.new, meta.old
        there = new or old
        step = {
            "op": op,
            "urn": meta.urn,
            "type": meta.type or getattr(there, "type", ""),
            "custom": bool(getattr(there, "custom", False)),
            "parent": getattr(there, "parent", "") or "",
            "old": dict(getattr(old, "inputs", None) or {}) if old is not None else None,
            "stands": dict(getattr(old, "outputs", None) or {}) if old is not None else None,
            "new": dict(getattr(new, "inputs", None) or {}) if new is not None else None,
            "retained": bool(getattr(old, "retain_on_delete", False)),
            "keys": list(meta.keys or []),
            "diffs": list(meta.diffs or []),
            "detailed": {
                path: str(getattr(each.diff_kind, "value", each.diff_kind))
                for path, each in (meta.detailed_diff or {}).items()
            },
        }
        known = self.steps.get(meta.urn)
        self.steps[meta.urn] = step if known is None else _joined(known, step)

    def _diagnostic(self, said: Any) -> None:
        text = _COLOUR.sub("", said.message or "").strip()
        if said.ephemeral or said.severity not in ("error", "warning") or not text:
            return
        if not _OF_THE_MACHINE.match(text):
            self._diagnostics.append((said.severity, text, said.urn or ""))


def _made_up(steps: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Names with a random end that providers gave to what they will make: others the next time that they are asked."""
    found = {}
    for step in steps:
        new, name = step["new"] or {}, _name(step["urn"])
        for key in new.get(DEFAULTS) or ():
            value = new.get(key)
            if isinstance(value, str) and value != (step["old"] or {}).get(key) and _random(value, name):
                found[value] = f"${{{name}.{key}}}"
    return found


def _random(value: str, name: str) -> bool:
    """Whether it is a name of the engine's making: the logical one, perhaps cut short, and seven or more hexadecimal
    digits behind it."""
    end = _RANDOM.search(value)
    return end is not None and end.start() > 0 and name.startswith(value[: end.start()].rstrip("-_"))


def _whose(value: Any, names: Mapping[str, str]) -> Any:
    if not names:
        return value
    if isinstance(value, Mapping):
        own = value.get(DEFAULTS) or ()
        return {key: each if key in own else _whose(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_whose(each, names) for each in value]
    if isinstance(value, str):
        for name, whose in names.items():
            value = value.replace(name, whose)
    return value


def _joined(known: dict[str, Any], step: dict[str, Any]) -> dict[str, Any]:
    """Two steps of one resource as one: a replacement by its deletion and its creation."""
    first, second = _OPS[known["op"]], _OPS[step["op"]]
    both = {**step, **{key: value for key, value in known.items() if value not in (None, [], {}, "")}}
    if "replace" in (first, second) or {first, second} == {"create", "delete"}:
        both["op"] = "replace"
    else:
        both["op"] = step["op"] if first == "same" else known["op"]
    return both | {"retained": known["retained"] or step["retained"]}


def _change(step: dict[str, Any], masker: Masker) -> Change | None:
    op, type_ = _OPS[step["op"]], step["type"]
    if op == "same" or not shown(type_, custom=step["custom"]):
        return None
    told = properties(
        type_,
        step["old"] if op not in ("create", "import") else None,
        step["new"] if op != "delete" else None,
        masker,
        said=step["detailed"],
        stands=step["stands"],
    )
    quiet = all(each.noise for each in told)
    # What others own is read again each time, and the engine says of it less than the state does.
    again = op == "read" and step["old"] is not None
    if again or (type_.startswith("pulumi:") and quiet):
        return None
    return Change(
        urn=step["urn"],
        op=op,
        type=type_,
        name=_name(step["urn"]),
        component="" if "::pulumi:pulumi:Stack::" in step["parent"] else _name(step["parent"]),
        properties=told,
        replaces_because=_reasons(step) if op == "replace" else [],
        stateful=stateful(type_),
        retained=op in ("delete", "replace") and step["retained"],
    )


def _reasons(step: dict[str, Any]) -> list[str]:
    forced = sorted(path for path, kind in step["detailed"].items() if kind.endswith("replace"))
    return forced or sorted(step["keys"] or step["diffs"])


def _name(urn: str) -> str:
    parts = urn.split("::", 3)
    return parts[3] if len(parts) == 4 else urn


def _finding(event: Any, stack: str, masker: Masker) -> Finding:
    urn = event.resource_urn or ""
    return Finding(
        policy=f"{event.policy_pack_name}/{event.policy_name}",
        title=event.policy_name,
        severity=_LEVELS.get(event.enforcement_level, "high"),
        stack=stack,
        urn=urn,
        resource=_name(urn) if urn else "",
        message=masker.text(_COLOUR.sub("", event.message or "").strip()),
        why=f"the policy pack {event.policy_pack_name} {event.policy_pack_version_tag or ''}".strip()
        + " says so",
        fix="see the policy pack",
    )
