"""Writes the first settings file of a stack, with a placeholder for each value that a person must give."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from isthmus.core.errors import InputError

_STEP = re.compile(r"(?P<key>\w+)(\[(?P<part>[^\]]+)\])?(\.|$)")

Answer = Callable[[str, Any], Any]
"""Gives the value of an override, from its path and an example."""


def overrides_tree(missing: list[tuple[str, str]], answer: Answer | None = None) -> dict[str, Any]:
    """The tree of overrides with every missing path, in the form of `isthmus:overrides`.

    `missing`: paths such as `endpoints[ID].weights.uri`, each with an example as YAML
    (`missing_values.list_missing_values`). `answer` gives each value; default: the example.
    """
    from isthmus.core import yaml_files

    tree: dict[str, Any] = {}
    for path, example in missing:
        value = yaml_files.loads(f"value: {example}").data["value"]
        _set_value(tree, path, answer(path, value) if answer is not None else value)
    return tree


def _set_value(tree: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a path. An endpoint is found by its `id`, any other element of a list by its `name`."""
    steps = list(_STEP.finditer(path))
    if "".join(step.group() for step in steps) != path:
        raise InputError("this is not a valid path of an override", where=path)
    node = tree
    for step in steps[:-1]:
        node = _child(node, step)
    last = steps[-1]
    if last["part"] is None:
        node[last["key"]] = value
    else:
        _child(node, last).update(value)


def _child(node: dict[str, Any], step: re.Match[str]) -> dict[str, Any]:
    key, part = step["key"], step["part"]
    if part is None:
        return node.setdefault(key, {})
    name_key = "id" if key == "endpoints" else "name"
    children = node.setdefault(key, [])
    for child in children:
        if child[name_key] == part:
            return child
    children.append({name_key: part})
    return children[-1]


_HEAD = """The settings of stack {stack}, begun by `isthmus init`. docs/stacks.md explains each."""
_OPEN = """
Only you know the values that follow. Replace each example with your value, and remove the `# ` at the start of the
lines. `isthmus render {stack}` lists the values that are still missing.
"""
_CLOSED = """
Every value below is a SANDBOX VALUE: no such image, weights or authority exist."""


def settings_text(stack: str, tree: dict[str, Any], *, sandbox: bool) -> str:
    """The text of `Pulumi.STACK.yaml`. The overrides are active for the sandbox, else commented out as examples."""
    from isthmus.core import yaml_files

    # No provider may take its configuration from the environment. A resource without an explicit provider fails.
    config: dict[str, Any] = {"pulumi:disable-default-providers": ["*"]}
    head = _HEAD.format(stack=stack)
    if sandbox:
        config |= {"isthmus:sandbox": "true", **({"isthmus:overrides": tree} if tree else {})}
        return yaml_files.dumps({"config": config}, head + _CLOSED)
    document = yaml_files.dumps({"config": config}, head)
    if not tree:
        return document
    example_text = yaml_files.dumps({"isthmus:overrides": tree})
    notes = "".join(f"  # {line}".rstrip() + "\n" for line in _OPEN.format(stack=stack).strip().splitlines())
    return document + notes + "".join(f"  # {line}\n" for line in example_text.splitlines())
