"""Properties of a resource as Pulumi names them, and what the AWS API calls them.

A `Prop` states a name once; both ways of translation and every check derive from it.
"""

from __future__ import annotations

import datetime
import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine sends for a value that is known only after another resource is made."""

Kind = Literal["text", "number", "flag", "json", "map", "tags", "object", "list"]
"""`json`: a document as text. `map`: text to text. `tags`: a map that the API takes as `[{Key, Value}]`."""

_WANTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "text": ("text", lambda value: isinstance(value, str)),
    "number": ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "flag": ("true or false", lambda value: isinstance(value, bool)),
    "json": ("a JSON document", lambda value: isinstance(value, str | dict)),
    "map": ("a map", lambda value: isinstance(value, dict)),
    "tags": ("a map", lambda value: isinstance(value, dict)),
    "object": ("a map", lambda value: isinstance(value, dict)),
    "list": ("a list", lambda value: isinstance(value, list)),
}


def same(left: Any, right: Any) -> bool:
    """The plain equality; a table's entry may name another."""
    return bool(left == right)


def same_tail(left: Any, right: Any) -> bool:
    """A key's or a role's id and its ARN are the same thing."""
    return str(left).rsplit("/", 1)[-1] == str(right).rsplit("/", 1)[-1]


def same_instant(left: Any, right: Any) -> bool:
    """`…Z` and `…+00:00` are one."""
    try:
        return datetime.datetime.fromisoformat(str(left)) == datetime.datetime.fromisoformat(str(right))
    except (ValueError, TypeError):
        return bool(left == right)


@dataclass(frozen=True)
class Prop:
    """One property.

    `api` is the API's name where it is not the capitalised one; `default` the value that absence
    means; `computed`: absent, AWS chooses it and no difference is seen; `local`: ours alone, never sent.
    """

    kind: Kind = "text"
    api: str | None = None
    required: bool = False
    replace: bool = False
    default: Any = None
    computed: bool = False
    local: bool = False
    fields: Mapping[str, Prop] = field(default_factory=dict)
    item: Prop | None = None
    alike: Callable[[Any, Any], bool] = same
    check: Callable[[Any], str] | None = None
    """Why a value of the right kind is not taken, or ``""``."""
    secret: bool = False
    """Given to the engine marked as a secret, so that no state holds it in the clear."""


def same_members(left: Any, right: Any) -> bool:
    """A list whose order says nothing."""
    if isinstance(left, list) and isinstance(right, list):
        return sorted(left, key=str) == sorted(right, key=str)
    return bool(left == right)


def filled_in_by_aws(prop: Prop) -> bool:
    """A list of parts in which AWS chooses what is absent: as given it says less than as read."""
    item = prop.item
    return item is not None and any(part.computed for part in item.fields.values())


def has_unknown(value: Any) -> bool:
    """Whether any part of `value` is not known yet."""
    if isinstance(value, dict):
        return any(has_unknown(part) for part in value.values())
    if isinstance(value, list):
        return any(has_unknown(part) for part in value)
    return bool(value == UNKNOWN)


def api_name(name: str, prop: Prop) -> str:
    return prop.api or name[:1].upper() + name[1:]


def to_api(prop: Prop, value: Any) -> Any:
    """A property's value in the API's shape; None stays None (the call leaves it away)."""
    if value is None:
        return None
    if prop.kind == "object":
        made = {
            api_name(name, part): to_api(part, value.get(name, part.default))
            for name, part in prop.fields.items()
            if not part.local
        }
        return {name: part for name, part in made.items() if part is not None}
    if prop.kind == "list" and prop.item:
        return [to_api(prop.item, part) for part in value]
    if prop.kind == "tags":
        return [{"Key": key, "Value": text} for key, text in sorted(value.items())]
    return value


def from_api(prop: Prop, value: Any) -> Any:
    """The reverse of `to_api`; members that the table does not know are left away."""
    if value is None:
        return None
    if prop.kind == "object":
        made = {name: from_api(part, value.get(api_name(name, part))) for name, part in prop.fields.items()}
        return {name: part for name, part in made.items() if part is not None}
    if prop.kind == "list" and prop.item:
        return [from_api(prop.item, part) for part in value]
    if prop.kind == "tags":
        return {tag["Key"]: tag["Value"] for tag in value}
    if prop.kind == "json":
        return value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return value


def canonical(value: Any) -> Any:
    """A policy without the freedoms of its notation: order of keys and lists, one entry or a list of one."""
    if isinstance(value, dict):
        return {key: canonical(part) for key, part in sorted(value.items())}
    if isinstance(value, list):
        parts = [canonical(part) for part in value]
        if len(parts) == 1 and not isinstance(parts[0], list):
            return parts[0]
        return sorted(parts, key=lambda part: json.dumps(part, sort_keys=True))
    return value


def same_json(left: Any, right: Any) -> bool:
    """Whether two JSON documents (text or parsed) mean the same."""
    try:
        parsed = [json.loads(side) if isinstance(side, str) else side for side in (left, right)]
    except ValueError:
        return bool(left == right)
    return canonical(parsed[0]) == canonical(parsed[1])


def _empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def differences(prop: Prop, wanted: Any, actual: Any, path: str) -> list[str]:
    """Paths below `path` at which `wanted` is not `actual`; absence counts as the default."""
    wanted = prop.default if wanted is None else wanted
    actual = prop.default if actual is None else actual
    if _empty(wanted) and (prop.computed or _empty(actual)):
        return []
    if has_unknown(wanted) and not isinstance(wanted, dict | list):
        return [path]
    if prop.kind == "object":
        # A part that is absent and one that says nothing but defaults are the same.
        wanted, actual = (side if isinstance(side, dict) else {} for side in (wanted, actual))
        found: list[str] = []
        for name, part in prop.fields.items():
            found += differences(part, wanted.get(name), actual.get(name), f"{path}.{name}")
        return found
    item = prop.item if prop.kind == "list" and prop.alike is same else None
    if item and isinstance(wanted, list) and isinstance(actual, list):
        found = []
        for index in range(max(len(wanted), len(actual))):
            if index >= len(wanted) or index >= len(actual):
                found.append(f"{path}[{index}]")
            else:
                found += differences(item, wanted[index], actual[index], f"{path}[{index}]")
        return found
    if prop.kind in ("map", "tags") and isinstance(wanted, dict) and isinstance(actual, dict):
        names = sorted({*wanted, *actual})
        return [f"{path}{_key(name)}" for name in names if wanted.get(name) != actual.get(name)]
    alike = same_json if prop.kind == "json" else prop.alike
    return [] if alike(wanted, actual) else [path]


def _key(name: str) -> str:
    return f".{name}" if name.replace("_", "").replace("-", "").isalnum() else f'["{name}"]'


def nearest(word: str, names: Iterable[str]) -> str:
    """` Did you mean …?`, or nothing."""
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return f" Did you mean `{by_lower[close[0]]}`?" if close else ""


def problems(prop: Prop, value: Any, path: str, token: str) -> list[tuple[str, str]]:
    """(path, reason) for every part of `value` that the type does not take. Never shows a value."""
    if value is None or value == UNKNOWN:
        return []
    wanted, fits = _WANTED[prop.kind]
    if not fits(value):
        return [(path, f"`{path}` of {token} wants {wanted}, not {_kind_of(value)}.")]
    reason = prop.check(value) if prop.check and not has_unknown(value) else ""
    if reason:
        return [(path, f"`{path}` of {token}: {reason}")]
    if isinstance(value, str):
        try:
            _ = json.loads(value) if prop.kind == "json" else None
        except ValueError as error:
            return [(path, f"`{path}` of {token} is not valid JSON: {error}.")]
        return []
    found: list[tuple[str, str]] = []
    if prop.kind == "object":
        return problems_of_fields(prop.fields, value, path, token)
    if prop.kind == "list" and prop.item:
        for index, part in enumerate(value):
            found += problems(prop.item, part, f"{path}[{index}]", token)
    if prop.kind in ("map", "tags"):
        for key, part in value.items():
            if part is not None and not isinstance(part, str):
                reason = f"`{path}.{key}` of {token} wants text, not {_kind_of(part)}."
                found.append((f"{path}.{key}", reason))
    return found


def problems_of_fields(
    fields: Mapping[str, Prop], value: Mapping[str, Any], path: str, token: str
) -> list[tuple[str, str]]:
    """As `problems`, for a whole resource (`path` empty) or a nested part."""
    found: list[tuple[str, str]] = []
    prefix = f"{path}." if path else ""
    for name, part in value.items():
        if name.startswith("__"):
            continue
        if name not in fields:
            reason = (
                f"`{prefix}{name}` is not a property of {token} that the sandbox's AWS provider serves."
                f"{nearest(name, fields)} It serves: {', '.join(sorted(fields))}."
            )
            found.append((f"{prefix}{name}", reason))
            continue
        found += problems(fields[name], part, f"{prefix}{name}", token)
    for name, prop in fields.items():
        if prop.required and value.get(name) is None:
            found.append((f"{prefix}{name}", f"`{prefix}{name}` of {token} is required and missing."))
    return found


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "a map"
