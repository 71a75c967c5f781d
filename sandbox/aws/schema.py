"""Properties of a resource: their names in Pulumi and in the AWS API, their types, comparison and validation.

Both translations and all checks are derived from `Prop`.
"""

from __future__ import annotations

import datetime
import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The engine's marker for a value that is known only after another resource is created."""

Kind = Literal["text", "number", "flag", "json", "map", "tags", "object", "list"]
"""`json`: a document as text. `map`: text to text. `tags`: a map that the API has as `[{Key, Value}]`."""

_EXPECTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "text": ("text", lambda value: isinstance(value, str)),
    "number": ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "flag": ("true or false", lambda value: isinstance(value, bool)),
    "json": ("a JSON document", lambda value: isinstance(value, str | dict)),
    "map": ("a map", lambda value: isinstance(value, dict)),
    "tags": ("a map", lambda value: isinstance(value, dict)),
    "object": ("a map", lambda value: isinstance(value, dict)),
    "list": ("a list", lambda value: isinstance(value, list)),
}


def is_equal(left: Any, right: Any) -> bool:
    """Compare by plain equality, the default of `Prop.alike`."""
    return bool(left == right)


def is_same_tail(left: Any, right: Any) -> bool:
    """Compare the last parts: an id and its ARN mean the same key or role."""
    return str(left).rsplit("/", 1)[-1] == str(right).rsplit("/", 1)[-1]


def is_same_instant(left: Any, right: Any) -> bool:
    """Compare moments: `…Z` and `…+00:00` are equal."""
    try:
        return datetime.datetime.fromisoformat(str(left)) == datetime.datetime.fromisoformat(str(right))
    except (ValueError, TypeError):
        return bool(left == right)


@dataclass(frozen=True)
class Prop:
    """One property.

    Attributes:
        api: the API's name. Default: the capitalised name.
        default: the value that a missing property has.
        computed: AWS chooses a missing value, which is then not a difference.
        local: the property is not sent to AWS.
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
    alike: Callable[[Any, Any], bool] = is_equal
    check: Callable[[Any], str] | None = None
    """Returns why a value of the right kind is invalid, or ``""``."""
    secret: bool = False
    """The engine receives the value marked as a secret, so that the state holds it encrypted."""


def has_same_members(left: Any, right: Any) -> bool:
    """Compare lists without regard to their order."""
    if isinstance(left, list) and isinstance(right, list):
        return sorted(left, key=str) == sorted(right, key=str)
    return bool(left == right)


def filled_in_by_aws(prop: Prop) -> bool:
    """Return True for a list of objects in which AWS chooses missing members: the read value is more complete."""
    item = prop.item
    return item is not None and any(part.computed for part in item.fields.values())


def has_unknown(value: Any) -> bool:
    """Return True if any part of `value` is unknown."""
    if isinstance(value, dict):
        return any(has_unknown(part) for part in value.values())
    if isinstance(value, list):
        return any(has_unknown(part) for part in value)
    return bool(value == UNKNOWN)


def api_name(name: str, prop: Prop) -> str:
    return prop.api or name[:1].upper() + name[1:]


def to_api(prop: Prop, value: Any) -> Any:
    """Return a property's value in the API's shape. None stays None: the call omits it."""
    if value is None:
        return None
    if prop.kind == "object":
        members = {
            api_name(name, part): to_api(part, value.get(name, part.default))
            for name, part in prop.fields.items()
            if not part.local
        }
        return {name: part for name, part in members.items() if part is not None}
    if prop.kind == "list" and prop.item:
        return [to_api(prop.item, part) for part in value]
    if prop.kind == "tags":
        return [{"Key": key, "Value": text} for key, text in sorted(value.items())]
    return value


def from_api(prop: Prop, value: Any) -> Any:
    """Return an API value in Pulumi's shape. Members that the table does not have are omitted."""
    if value is None:
        return None
    if prop.kind == "object":
        members = {
            name: from_api(part, value.get(api_name(name, part))) for name, part in prop.fields.items()
        }
        return {name: part for name, part in members.items() if part is not None}
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
    """Return a policy in a normal form: sorted keys and lists, and a list of one entry as the entry."""
    if isinstance(value, dict):
        return {key: canonical(part) for key, part in sorted(value.items())}
    if isinstance(value, list):
        canonical_items = [canonical(part) for part in value]
        if len(canonical_items) == 1 and not isinstance(canonical_items[0], list):
            return canonical_items[0]
        return sorted(canonical_items, key=lambda part: json.dumps(part, sort_keys=True))
    return value


def is_same_json(left: Any, right: Any) -> bool:
    """Return True if two JSON documents (text or parsed) mean the same."""
    try:
        parsed = [json.loads(side) if isinstance(side, str) else side for side in (left, right)]
    except ValueError:
        return bool(left == right)
    return canonical(parsed[0]) == canonical(parsed[1])


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def differences(prop: Prop, expected: Any, actual: Any, path: str) -> list[str]:
    """Return the paths below `path` at which `expected` and `actual` differ. A missing value counts as the default."""
    expected = prop.default if expected is None else expected
    actual = prop.default if actual is None else actual
    if _is_empty(expected) and (prop.computed or _is_empty(actual)):
        return []
    if has_unknown(expected) and not isinstance(expected, dict | list):
        return [path]
    if prop.kind == "object":
        # A missing object is the same as one with defaults only.
        expected, actual = (side if isinstance(side, dict) else {} for side in (expected, actual))
        paths: list[str] = []
        for name, part in prop.fields.items():
            paths += differences(part, expected.get(name), actual.get(name), f"{path}.{name}")
        return paths
    item = prop.item if prop.kind == "list" and prop.alike is is_equal else None
    if item and isinstance(expected, list) and isinstance(actual, list):
        paths = []
        for index in range(max(len(expected), len(actual))):
            if index >= len(expected) or index >= len(actual):
                paths.append(f"{path}[{index}]")
            else:
                paths += differences(item, expected[index], actual[index], f"{path}[{index}]")
        return paths
    if prop.kind in ("map", "tags") and isinstance(expected, dict) and isinstance(actual, dict):
        names = sorted({*expected, *actual})
        return [f"{path}{_path_part(name)}" for name in names if expected.get(name) != actual.get(name)]
    alike = is_same_json if prop.kind == "json" else prop.alike
    return [] if alike(expected, actual) else [path]


def _path_part(name: str) -> str:
    return f".{name}" if name.replace("_", "").replace("-", "").isalnum() else f'["{name}"]'


def suggest_nearest(name: str, names: Iterable[str]) -> str:
    """Return ` Did you mean …?` with the most similar name, or an empty text."""
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f" Did you mean `{by_lower[close[0]]}`?" if close else ""


def find_problems(prop: Prop, value: Any, path: str, token: str) -> list[tuple[str, str]]:
    """Return (path, reason) for every invalid part of `value`. A reason never contains a value."""
    if value is None or value == UNKNOWN:
        return []
    expected, fits = _EXPECTED[prop.kind]
    if not fits(value):
        return [(path, f"`{path}` of {token} must be {expected}, not {_describe_kind(value)}.")]
    reason = prop.check(value) if prop.check and not has_unknown(value) else ""
    if reason:
        return [(path, f"`{path}` of {token}: {reason}")]
    if isinstance(value, str):
        try:
            _ = json.loads(value) if prop.kind == "json" else None
        except ValueError as error:
            return [(path, f"`{path}` of {token} is not valid JSON: {error}.")]
        return []
    found_problems: list[tuple[str, str]] = []
    if prop.kind == "object":
        return find_field_problems(prop.fields, value, path, token)
    if prop.kind == "list" and prop.item:
        for index, part in enumerate(value):
            found_problems += find_problems(prop.item, part, f"{path}[{index}]", token)
    if prop.kind in ("map", "tags"):
        for key, part in value.items():
            if part is not None and not isinstance(part, str):
                reason = f"`{path}.{key}` of {token} must be text, not {_describe_kind(part)}."
                found_problems.append((f"{path}.{key}", reason))
    return found_problems


def find_field_problems(
    fields: Mapping[str, Prop], value: Mapping[str, Any], path: str, token: str
) -> list[tuple[str, str]]:
    """Return (path, reason) for the members of a whole resource (`path` is empty) or of a nested object."""
    found_problems: list[tuple[str, str]] = []
    prefix = f"{path}." if path else ""
    for name, part in value.items():
        if name.startswith("__"):
            continue
        if name not in fields:
            reason = (
                f"`{prefix}{name}` is not a property of {token} that the sandbox's AWS provider supports."
                f"{suggest_nearest(name, fields)} It supports: {', '.join(sorted(fields))}."
            )
            found_problems.append((f"{prefix}{name}", reason))
            continue
        found_problems += find_problems(fields[name], part, f"{prefix}{name}", token)
    for name, prop in fields.items():
        if prop.required and value.get(name) is None:
            found_problems.append(
                (f"{prefix}{name}", f"`{prefix}{name}` of {token} is required and missing.")
            )
    return found_problems


def _describe_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "a map"
