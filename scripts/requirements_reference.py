"""Writes `docs/requirements-reference.md` from the JSON Schema: `python -m scripts.requirements_reference`."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isthmus.contracts import json_schemas

DOC = Path(__file__).resolve().parents[1] / "docs" / "requirements-reference.md"
WIDTH = 120
HEAD = """# Every key of the requirements

<!-- Made by `python -m scripts.requirements_reference` from the models in isthmus/contracts/requirements. Change the
docstring of a field there, not this page. -->

`isthmus plan` reads `NAME.requirements.yaml`. This page says what each key means, in which unit, with its default and
an example. Rules between keys are in [contracts.md](contracts.md#requirements). How the planner uses them is in
[planning.md](planning.md). An editor with a YAML language server shows the same texts
([contracts.md](contracts.md#editor-support)).
"""
_MANY = 12
"""Names from which a list of all of them is too long to read."""


def page() -> str:
    """The text of the page: a section for each part of the file, from the outside in."""
    body = json_schemas.schema("requirements")
    blocks, described = [HEAD], dict[str, str]()
    for path, title in _sections(body):
        if described.setdefault(title, path) != path:
            blocks.append(f"## `{path}`\n\nThe keys of `{described[title]}`.\n")
            continue
        part = json_schemas.parts(body)[title]
        required = part.get("required", [])
        heading = f"## `{path}`" if path else "## The file"
        lines = [
            _describe(key, value, path, body, key in required) for key, value in part["properties"].items()
        ]
        blocks.append(f"{heading}\n\n{_wrap(_description(title, body))}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(blocks)


def _sections(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Path and title of each part, in the order of the file. Two kinds of sites share a path and differ by `kind`."""
    found: list[tuple[str, str]] = []

    def visit(path: str, title: str) -> None:
        found.append((path, title))
        for key, value in json_schemas.parts(body)[title]["properties"].items():
            inner, references = _references(value)
            for reference in references:
                suffix = f" ({_kind(reference, body)})" if len(references) > 1 else ""
                base = path.partition(" (")[0]
                visit(f"{base}.{key}{inner}{suffix}".lstrip("."), reference)

    visit("", "")
    return found


def _references(value: Mapping[str, Any]) -> tuple[str, list[str]]:
    """`[]` if the value is a list, `.KEY` if it is a map, and the titles of the parts that it holds."""
    inner, holder = "", value
    for suffix, word in (("[]", "items"), (".KEY", "additionalProperties")):
        if isinstance(value.get(word), dict):
            inner, holder = suffix, value[word]
    branches = [holder, *holder.get("anyOf", []), *holder.get("oneOf", [])]
    return inner, [branch["$ref"].rpartition("/")[2] for branch in branches if "$ref" in branch]


def _kind(title: str, body: Mapping[str, Any]) -> str:
    return f"kind: {body['$defs'][title]['properties']['kind']['const']}"


def _description(title: str, body: Mapping[str, Any]) -> str:
    part = body["$defs"][title] if title else body
    return next(
        branch["description"] for branch in (part, *part.get("anyOf", [])) if branch.get("description")
    )


def _describe(key: str, value: Mapping[str, Any], path: str, body: Mapping[str, Any], required: bool) -> str:
    unit = value.get("unit")
    text = value["description"].removesuffix(f" Unit: {unit}.")
    _, references = _references(value)
    facts = ["Required"] if required else [f"Default: {_default(value)}"]
    facts.append(f"{_keys(value)}See below" if references else _form(value))
    facts += [f"Unit: {unit}"] if unit else []
    if not references:
        facts.append(f"Example: `{key}: {flow(value['examples'][0])}`")
    return _wrap(f"- **`{key}`** {text}") + "\n" + _wrap(f"  {'. '.join(facts)}.", indent="  ")


def _keys(value: Mapping[str, Any]) -> str:
    """The keys of a map that may have some only, as a sentence; empty for any other value."""
    names = value.get("propertyNames", {}).get("enum")
    return f"Map; keys: `{'`, `'.join(names)}`. " if names else ""


def _default(value: Mapping[str, Any]) -> str:
    default = value.get("default")
    if default is None:
        return "none"
    if isinstance(default, dict) and default:
        return "that of each of its keys"
    return f"`{flow(default)}`" if default not in ([], {}) else "empty"


def _form(value: Mapping[str, Any]) -> str:
    """What a value looks like, in words."""
    branches = [
        branch for branch in value.get("anyOf", []) + value.get("oneOf", []) if branch.get("type") != "null"
    ]
    if branches:
        inherited = {word: value[word] for word in ("enum",) if word in value}
        return _capital(" or ".join(_form({**inherited, **branch}).lower() for branch in branches))
    if "const" in value:
        return f"Always `{value['const']}`"
    if "enum" in value:
        names = value["enum"]
        return f"One of {len(names)} names" if len(names) > _MANY else f"One of `{'`, `'.join(names)}`"
    match value.get("type"):
        case "array":
            return f"List: {_form(value['items']).lower()}"
        case "object":
            inner = value.get("additionalProperties")
            return f"Map: {_form(inner).lower()}" if isinstance(inner, dict) and inner else "Map"
        case "boolean":
            return "`true` or `false`"
        case "integer" | "number":
            return f"{'Whole number' if value['type'] == 'integer' else 'Number'}{_range(value)}"
    return "Text"


def _range(value: Mapping[str, Any]) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    limits = [f"{word} {_number(value[keyword])}" for keyword, word in words.items() if keyword in value]
    return f", {', '.join(limits)}" if limits else ""


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:g}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9 ._/-]*", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text.strip() if not indent else text,
        WIDTH,
        subsequent_indent=indent or ("  " if text.startswith("- ") else ""),
        break_long_words=False,
        break_on_hyphens=False,
    )


def main() -> None:
    draft = DOC.with_suffix(".part")
    draft.write_text(page(), "utf-8")
    draft.replace(DOC)


if __name__ == "__main__":
    main()
