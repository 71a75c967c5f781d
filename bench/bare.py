"""A bare Pulumi program with the same resources as a stack that is up, made from its state.

The yardstick of `bench.spine`: same types, inputs, dependencies, options, waits and plugins, but no
contract, catalogue, component or template: what somebody would have who wrote the resources by hand.
Where an input of a resource holds an output of another (an ARN, a bucket's generated name, a cluster
address), the program takes that output, so that values still flow through the engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMED = ("bucket", "name")
"""Outputs that are inputs too, with a generated end."""
COMMON = {"region", "tagsAll", "ownerId", "state", "status"}
"""Outputs that many resources share: no sign that a value flows from this one."""
SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105
"""By this key Pulumi marks a secret in an exported state."""
AUTO_NAME = re.compile(r"[a-z0-9-]+-[0-9a-f]{7}")
COMPONENT = re.compile(r"^(isthmus:|pulumi:pulumi:Stack(Reference)?$)")


def _outputs(resource: dict[str, Any]) -> dict[str, list[str | int]]:
    """Value → where it stands in the outputs, of those that only the provider knows; an `id` last."""
    given = resource.get("inputs", {})
    outputs = {
        key: value
        for key, value in (resource.get("outputs") or {}).items()
        if not key.startswith("__") and key not in COMMON and (key in NAMED or value != given.get(key))
    }
    found = dict(_texts(outputs, []))
    return found if resource.get("id") is None else {resource["id"]: ["id"], **found}


def _texts(value: Any, path: list[str | int]) -> Iterator[tuple[str, list[str | int]]]:
    if isinstance(value, str) and len(value) > 5:
        yield value, path
    elif isinstance(value, dict) and SECRET not in value:
        for key, item in value.items():
            yield from _texts(item, [*path, key])
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _texts(item, [*path, at])


def _with_references(value: Any, known: list[tuple[str, str, list[str | int]]]) -> Any:
    """Replace every occurrence of a known output by a reference `{"ref": [urn, path]}`."""
    if isinstance(value, dict) and SECRET in value:
        return {"secret": json.loads(value["plaintext"])}
    if isinstance(value, dict):
        return {key: _with_references(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_references(item, known) for item in value]
    if not isinstance(value, str):
        return value
    for text, urn, output in known:
        if text in value:
            parts = value.split(text)
            joined: list[Any] = []
            for index, part in enumerate(parts):
                if index:
                    joined.append({"ref": [urn, output]})
                if part:
                    joined.append(_with_references(part, known))
            return joined[0] if len(joined) == 1 else {"concat": joined}
    return value


def joined(states: list[dict[str, Any]]) -> dict[str, Any]:
    """Several stacks' states as one stack's: a provider that each of them has is there once, and what another
    stack's namespace holds waits for it."""
    first: dict[tuple[str, str], str] = {}
    same: dict[str, str] = {}
    resources = []
    for resource in (each for state in states for each in state["deployment"]["resources"]):
        if resource["type"].startswith("pulumi:providers:"):
            key = (resource["type"], resource["urn"].rsplit("::", 1)[1])
            same[resource["urn"]] = first.setdefault(key, resource["urn"])
            if same[resource["urn"]] != resource["urn"]:
                continue
        urn, _, ident = (resource.get("provider") or "").rpartition("::")
        resources.append({**resource, **({"provider": f"{same.get(urn, urn)}::{ident}"} if urn else {})})
    spaces = {
        each["inputs"]["metadata"]["name"]: each["urn"]
        for each in resources
        if each["type"] == "kubernetes:core/v1:Namespace"
    }
    for each in resources:
        space = spaces.get(((each.get("inputs") or {}).get("metadata") or {}).get("namespace"))
        if space is not None:
            each["dependencies"] = sorted({*(each.get("dependencies") or []), space})
    return {"deployment": {"resources": resources}}


def _dependencies(resource: dict[str, Any], by_urn: dict[str, dict[str, Any]]) -> list[str]:
    """What a resource waits for: what it names, and what the components that it is part of do."""
    found: list[str] = resource.get("dependencies") or []
    within = by_urn.get(resource.get("parent", ""))
    return found if within is None else [*_dependencies(within, by_urn), *found]


def _needed(program: list[dict[str, Any]]) -> None:
    """Leave each resource the dependencies that no other of its dependencies has: nobody writes more by hand, and
    the engine would look at each."""
    place = {each["urn"]: number for number, each in enumerate(program)}
    reached: list[int] = []  # by place, the places that it waits for, as the bits of a number
    for each in program:
        behind, kept = 0, []
        for urn in sorted(
            {urn for urn in each["depends_on"] if urn in place}, key=place.__getitem__, reverse=True
        ):
            if not behind >> place[urn] & 1:
                kept.append(urn)
                behind |= reached[place[urn]] | 1 << place[urn]
        each["depends_on"] = kept
        reached.append(behind)


def program_from_state(state: dict[str, Any], kubeconfig: str) -> list[dict[str, Any]]:
    """The resources of an exported stack, flat and in an order in which they can be registered.

    Its clusters are those of `kubeconfig`: the state names the ones of the stack that it was taken from.
    """
    resources = state["deployment"]["resources"]
    by_urn = {resource["urn"]: resource for resource in resources}
    program = []
    for resource in resources:
        if COMPONENT.match(resource["type"]) or resource.get("external"):
            continue
        inputs = resource.get("inputs", {})
        depends = resource.get("propertyDependencies") or {}
        flat: dict[str, Any] = {}
        for key, value in inputs.items():
            generated = isinstance(value, str) and AUTO_NAME.fullmatch(value) and not depends.get(key)
            if key.startswith("__") or generated:
                continue  # the engine's own notes, and names that are generated anew
            known = [
                (text, urn, output)
                for urn in sorted(depends.get(key) or ())
                if urn in by_urn
                for text, output in _outputs(by_urn[urn]).items()
            ]
            flat[key] = _with_references(value, sorted(known, key=lambda item: -len(item[0])))
        if resource["type"] == "pulumi:providers:kubernetes":
            flat["kubeconfig"] = kubeconfig
        program.append(
            {
                "urn": resource["urn"],
                "type": resource["type"],
                "name": resource["urn"].rsplit("::", 1)[1],
                "inputs": flat,
                "depends_on": _dependencies(resource, by_urn),
                "provider": (resource.get("provider") or "").rsplit("::", 1)[0] or None,
                "timeouts": resource.get("customTimeouts") or {},
                "retain_on_delete": bool(resource.get("retainOnDelete")),
                "protect": bool(resource.get("protect")),
            }
        )
    _needed(program)
    return program


def write_project(directory: Path, program: list[dict[str, Any]], virtualenv: Path) -> None:
    """A Pulumi project in `directory` that registers `program`."""
    directory.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).parent / "bare_program" / "__main__.py"
    (directory / "__main__.py").write_text(source.read_text())
    (directory / "resources.json").write_text(json.dumps(program, indent=1))
    (directory / "Pulumi.yaml").write_text(
        f"name: bare\nruntime:\n  name: python\n  options:\n    virtualenv: {json.dumps(str(virtualenv))}\n"
    )
    (directory / "Pulumi.bare.yaml").write_text('config:\n  pulumi:disable-default-providers: ["*"]\n')
