"""Changes of requirements for a what-if plan: `PATH=VALUE`, and a factor for the traffic of all workloads.

A path is written as error messages print it, or with dots alone: `workloads[kyc].slo.ttft_p95_ms`,
`workloads.kyc.slo.ttft_p95_ms`. An item of a list is called by its `name`, `gpu` or `id`, or by its index. A key that
has dots and does not exist yet stands in brackets: `sites.frankfurt.prices[g6e.12xlarge].usd_per_hour`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.contracts.requirements.document import Requirements, parse
from isthmus.core.errors import InputError
from isthmus.core.validation_errors import did_you_mean, keys_at, types_at
from isthmus.core.yaml_documents import Document, PathOf, dotted

if TYPE_CHECKING:
    from isthmus.core.skipped_checks import FurtherCheck

SCALE = "scale-traffic"
"""The change of the traffic of all workloads, as what-if plans name it: `scale-traffic=2`."""
_NAMES = ("name", "gpu", "id", "workload")
"""Keys by which an item of a list is called."""
_LARGEST_FACTOR = 1000


@dataclass(frozen=True)
class Key:
    """One step of a path as it was written. `exact`: from brackets, so it is never joined with its neighbours."""

    text: str
    exact: bool


@dataclass(frozen=True)
class Change:
    """A value that replaces another one in the requirements."""

    text: str
    """The change as it was written, e.g. `budget.monthly_usd=30000`."""
    keys: tuple[Key, ...]
    value: Any


def parse_change(text: str, where: str = "--set") -> Change:
    """Parse `PATH=VALUE`; the value is YAML. Raises `InputError`."""
    example = "Write it like `budget.monthly_usd=30000`"
    path, sign, value = _split_at_equals(text)
    if not sign or not path.strip():
        raise InputError(f"`{text}` is not a change", where=where, fix=example)
    keys = _keys(path.strip(), text, where)
    return Change(text, keys, _yaml_value(value, text, where))


def apply_changes(
    document: Document,
    changes: Sequence[Change],
    scale_traffic: float = 1.0,
    where: str = "--set",
    further: FurtherCheck | None = None,
) -> Requirements:
    """Return the requirements with the changes, and the digest of the changed content. The document stays as it is.

    `scale_traffic` multiplies `peak_rps` and `mean_rps` of every workload, after the other changes. `further` is
    another check of the changed requirements. Raises `InputError` for an unknown path, and what `document.load` raises
    if the changed requirements are invalid.
    """
    if not 0 < scale_traffic <= _LARGEST_FACTOR:
        raise InputError(
            f"the traffic cannot be scaled by {scale_traffic:g}",
            where=f"--{SCALE}",
            fix=f"Choose a factor above 0 and up to {_LARGEST_FACTOR:,}, e.g. 2",
        )
    data = copy.deepcopy(document.data)
    for change in changes:
        _apply(data, change, where)
    # Lines of the file would mislead: its text does not have the changed values.
    name = document.file or "the requirements"
    texts = ", ".join(describe_changes(changes, scale_traffic))
    changed = Document(data, f"{name} (with {texts})" if texts else name)
    requirements = parse(changed, further)
    if scale_traffic == 1:
        return requirements
    for workload in data["workloads"]:
        traffic = workload["traffic"]
        traffic |= {key: traffic[key] * scale_traffic for key in ("peak_rps", "mean_rps")}
    return parse(changed, further)


def describe_changes(changes: Sequence[Change], scale_traffic: float = 1.0) -> list[str]:
    """Return the changes as a what-if plan records them. `parse_recorded` reads them back."""
    return [
        *(change.text for change in changes),
        *([f"{SCALE}={scale_traffic:g}"] if scale_traffic != 1 else []),
    ]


def parse_recorded(texts: Sequence[str], where: str = "--set") -> tuple[list[Change], float]:
    """Return the changes and the factor of the traffic that texts like those of a what-if plan name.

    Raises `InputError`.
    """
    changes: list[Change] = []
    factor = 1.0
    for text in texts:
        if text.startswith(f"{SCALE}="):
            factor *= parse_factor(text.removeprefix(f"{SCALE}="), where)
        else:
            changes.append(parse_change(text, where))
    return changes, factor


def parse_factor(text: str, where: str) -> float:
    """Parse the factor of `scale-traffic`. Raises `InputError`."""
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 0 < factor <= _LARGEST_FACTOR:
        raise InputError(
            f"`{text}` is not a factor of the traffic",
            where=where,
            fix=f"Write a number above 0 and up to {_LARGEST_FACTOR:,}, e.g. `{SCALE}=2`",
        )
    return factor


# Paths


def _split_at_equals(text: str) -> tuple[str, str, str]:
    """Split at the first `=` outside brackets."""
    depth = 0
    for index, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "=" and depth <= 0:
            return text[:index], "=", text[index + 1 :]
    return text, "", ""


def _keys(path: str, text: str, where: str) -> tuple[Key, ...]:
    """Split a path at its dots. What stands in brackets is one key."""
    keys: list[Key] = []
    rest = path
    while rest:
        if rest.startswith("["):
            inside, closed, rest = rest[1:].partition("]")
            if not closed or not inside:
                raise InputError(
                    f"the path of `{text}` has a bracket without its pair or without a key",
                    where=where,
                    fix="Write a name in brackets like `workloads[kyc].slo.ttft_p95_ms`",
                )
            keys.append(Key(inside.strip("'\""), exact=True))
        else:
            end = min((at for at in (rest.find("."), rest.find("[")) if at >= 0), default=len(rest))
            keys.append(Key(rest[:end], exact=False))
            rest = rest[end:]
        rest = rest.removeprefix(".")
    if any(not key.text for key in keys) or path.endswith("."):
        raise InputError(f"the path of `{text}` has an empty key", where=where, fix="Remove the extra dot")
    return tuple(keys)


def _yaml_value(value: str, text: str, where: str) -> Any:
    from isthmus.core import yaml_files

    if not value.strip():
        raise InputError(
            f"`{text}` has no value",
            where=where,
            fix="Write the value after `=`; `null` removes an optional one",
        )
    try:
        return yaml_files.loads(f"value: {value}\n", where).data["value"]
    except InputError as error:
        raise InputError(
            f"the value of `{text}` is not YAML ({error.what})",
            where=where,
            fix="Write a number, a word, or a list like `[eu, uk]`",
        ) from None


def _apply(data: dict[str, Any], change: Change, where: str) -> None:
    node: Any = data
    path: PathOf = ()
    keys = list(change.keys)
    while True:
        part, used = _child(data, node, path, keys, change, where)
        keys = keys[used:]
        if not keys:
            node[part] = change.value
            return
        if isinstance(node, dict) and node.get(part) is None:
            node[part] = {}
        node, path = node[part], (*path, part)


def _child(
    data: dict[str, Any], node: Any, path: PathOf, keys: Sequence[Key], change: Change, where: str
) -> tuple[str | int, int]:
    """Return the child of `node` that the next keys name, and how many keys its name took.

    A name may have dots (ids of models, AWS instance types): the longest name that exists is taken.
    """
    names = _child_names(node)
    for count in range(len(keys), 0, -1):
        if count > 1 and any(key.exact for key in keys[:count]):
            continue
        name = ".".join(key.text for key in keys[:count])
        if name in names:
            return names[name], count
    first = keys[0].text
    here = f"{where} {change.text}"
    if isinstance(node, list):
        known = ", ".join(name for name in names if not name.isdecimal()) or f"0 to {len(node) - 1}"
        raise InputError(
            f"`{dotted(data, path)}` has no item `{first}`",
            where=here,
            fix=f"{did_you_mean(first, names)} Choose one of: {known}".strip(),
        )
    if not isinstance(node, dict):
        raise InputError(
            f"`{dotted(data, path)}` is the single value `{node}`, so it has no `{first}`",
            where=here,
            fix=f"Set `{dotted(data, path)}` as a whole",
        )
    allowed = keys_at(Requirements, path, data)
    if allowed:
        if first in allowed:
            return first, 1
        place = f" in `{dotted(data, path)}`" if path else ""
        raise InputError(
            f"there is no key `{first}`{place}",
            where=here,
            fix=f"{did_you_mean(first, allowed)} Allowed here: {', '.join(allowed)}".strip(),
        )
    if path and not types_at(Requirements, path, data):
        raise InputError(
            f"there is no key `{first}` in `{dotted(data, path)}`",
            where=here,
            fix=f"Set `{dotted(data, path)}` as a whole",
        )
    # A new entry of a free mapping (prices, quotas): its name may have dots.
    plain = next((index for index, key in enumerate(keys) if key.exact), len(keys)) or 1
    return ".".join(key.text for key in keys[:plain]), plain


def _child_names(node: Any) -> dict[str, str | int]:
    if isinstance(node, dict):
        return {str(key): key for key in node}
    if not isinstance(node, list):
        return {}
    names: dict[str, str | int] = {}
    for index, item in enumerate(node):
        names[str(index)] = index
        name = next((item[key] for key in _NAMES if key in item), None) if isinstance(item, dict) else None
        if isinstance(name, str):
            names[name] = index
    return names
