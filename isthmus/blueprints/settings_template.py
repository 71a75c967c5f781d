"""The first settings of a stack: what its overrides must hold, as a file that a person completes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from isthmus.core.errors import InputError

_STEP = re.compile(r"(?P<key>\w+)(\[(?P<part>[^\]]+)\])?(\.|$)")

Answer = Callable[[str, Any], Any]
"""The value for an override, by its path and the example of it."""


def overrides(wanted: list[tuple[str, str]], answer: Answer | None = None) -> dict[str, Any]:
    """The tree of overrides with every path in it, as `isthmus:overrides` has it.

    `wanted`: paths such as `endpoints[ID].weights.uri`, each with an example as YAML (`catalogue.missing`).
    Its value is what `answer` says, or the example.
    """
    from isthmus.core import yaml_files

    tree: dict[str, Any] = {}
    for path, example in wanted:
        value = yaml_files.loads(f"value: {example}").data["value"]
        _lay(tree, path, answer(path, value) if answer is not None else value)
    return tree


def _lay(tree: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at a path; an item of a list goes by its `id`, where it is an endpoint, or its `name`."""
    steps = list(_STEP.finditer(path))
    if "".join(step.group() for step in steps) != path:
        raise InputError("this is no path of an override", where=path)
    here = tree
    for step in steps[:-1]:
        here = _below(here, step)
    last = steps[-1]
    if last["part"] is None:
        here[last["key"]] = value
    else:
        _below(here, last).update(value)


def _below(here: dict[str, Any], step: re.Match[str]) -> dict[str, Any]:
    key, part = step["key"], step["part"]
    if part is None:
        return here.setdefault(key, {})
    own = "id" if key == "endpoints" else "name"
    items = here.setdefault(key, [])
    for item in items:
        if item[own] == part:
            return item
    items.append({own: part})
    return items[-1]


_HEAD = """The settings of stack {stack}, begun by `isthmus init`. docs/stacks.md explains each."""
_OPEN = """
What follows only you know. Give each its value in place of the example, and take the `# ` at the head of the
lines away; what is left out, `isthmus render {stack}` names.
"""
_CLOSED = """
Every value below is a SANDBOX VALUE: no such image, weights or authority exist."""


def text(stack: str, tree: dict[str, Any], *, sandbox: bool) -> str:
    """`Pulumi.STACK.yaml`: for the sandbox with the tree in force, else with it as lines to complete."""
    from isthmus.core import yaml_files

    # No provider may configure itself from the surroundings: what has no explicit one fails.
    config: dict[str, Any] = {"pulumi:disable-default-providers": ["*"]}
    head = _HEAD.format(stack=stack)
    if sandbox:
        config |= {"isthmus:sandbox": "true", **({"isthmus:overrides": tree} if tree else {})}
        return yaml_files.dumps({"config": config}, head + _CLOSED)
    made = yaml_files.dumps({"config": config}, head)
    if not tree:
        return made
    open_ = yaml_files.dumps({"isthmus:overrides": tree})
    notes = "".join(f"  # {line}".rstrip() + "\n" for line in _OPEN.format(stack=stack).strip().splitlines())
    return made + notes + "".join(f"  # {line}\n" for line in open_.splitlines())
