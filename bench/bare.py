"""Writes a bare Pulumi program with the same resources as a deployed stack, from the stack's state.

`bench.spine` compares Isthmus with it. The program has the same types, inputs, dependencies, options, waits and
plugins, but no contract, catalogue, component or template, as if somebody had written the resources by hand. If an
input contains an output of another resource (an ARN, a generated bucket name, a cluster address), the program uses
that output, so that values still flow through the engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GENERATED_NAME_KEYS = ("bucket", "name")
"""Outputs that are also inputs, with a generated suffix."""
COMMON_KEYS = {"region", "tagsAll", "ownerId", "state", "status"}
"""Outputs that many resources share. They do not show that a value flows from one resource to another."""
SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105
"""The key that marks a secret in an exported state."""
AUTO_NAME = re.compile(r"[a-z0-9-]+-[0-9a-f]{7}")
COMPONENT = re.compile(r"^(isthmus:|pulumi:pulumi:Stack(Reference)?$)")


def _outputs(resource: dict[str, Any]) -> dict[str, list[str | int]]:
    """The path of each output that only the provider knows, by its value."""
    inputs = resource.get("inputs", {})
    outputs = {
        key: value
        for key, value in (resource.get("outputs") or {}).items()
        if not key.startswith("__")
        and key not in COMMON_KEYS
        and (key in GENERATED_NAME_KEYS or value != inputs.get(key))
    }
    path_of = dict(_text_paths(outputs, []))
    return path_of if resource.get("id") is None else {resource["id"]: ["id"], **path_of}


def _text_paths(value: Any, path: list[str | int]) -> Iterator[tuple[str, list[str | int]]]:
    if isinstance(value, str) and len(value) > 5:
        yield value, path
    elif isinstance(value, dict) and SECRET not in value:
        for key, item in value.items():
            yield from _text_paths(item, [*path, key])
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _text_paths(item, [*path, index])


def _with_references(value: Any, known_outputs: list[tuple[str, str, list[str | int]]]) -> Any:
    """Replace every occurrence of a known output by a reference `{"ref": [urn, path]}`."""
    if isinstance(value, dict) and SECRET in value:
        return {"secret": json.loads(value["plaintext"])}
    if isinstance(value, dict):
        return {key: _with_references(item, known_outputs) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_references(item, known_outputs) for item in value]
    if not isinstance(value, str):
        return value
    for text, urn, output in known_outputs:
        if text in value:
            pieces = value.split(text)
            fragments: list[Any] = []
            for index, piece in enumerate(pieces):
                if index:
                    fragments.append({"ref": [urn, output]})
                if piece:
                    fragments.append(_with_references(piece, known_outputs))
            return fragments[0] if len(fragments) == 1 else {"concat": fragments}
    return value


def join_states(states: list[dict[str, Any]]) -> dict[str, Any]:
    """The states of several stacks as one state.

    A provider that several stacks have is in it once. An object in a namespace of another stack depends on it.
    """
    first_provider: dict[tuple[str, str], str] = {}
    provider_urns: dict[str, str] = {}
    resources = []
    for resource in (
        resource_state for state in states for resource_state in state["deployment"]["resources"]
    ):
        if resource["type"].startswith("pulumi:providers:"):
            key = (resource["type"], resource["urn"].rsplit("::", 1)[1])
            provider_urns[resource["urn"]] = first_provider.setdefault(key, resource["urn"])
            if provider_urns[resource["urn"]] != resource["urn"]:
                continue
        urn, _, ident = (resource.get("provider") or "").rpartition("::")
        resources.append(
            {**resource, **({"provider": f"{provider_urns.get(urn, urn)}::{ident}"} if urn else {})}
        )
    namespace_urns = {
        resource["inputs"]["metadata"]["name"]: resource["urn"]
        for resource in resources
        if resource["type"] == "kubernetes:core/v1:Namespace"
    }
    for resource in resources:
        namespace_urn = namespace_urns.get(
            ((resource.get("inputs") or {}).get("metadata") or {}).get("namespace")
        )
        if namespace_urn is not None:
            resource["dependencies"] = sorted({*(resource.get("dependencies") or []), namespace_urn})
    return {"deployment": {"resources": resources}}


def _dependencies(resource: dict[str, Any], by_urn: dict[str, dict[str, Any]]) -> list[str]:
    """The dependencies of a resource: its own, and those of its parent components."""
    own_dependencies: list[str] = resource.get("dependencies") or []
    parent = by_urn.get(resource.get("parent", ""))
    return own_dependencies if parent is None else [*_dependencies(parent, by_urn), *own_dependencies]


def _remove_implied_dependencies(program: list[dict[str, Any]]) -> None:
    """Remove the dependencies that follow from other dependencies.

    A person would not write them, and the engine would process each of them.
    """
    position = {entry["urn"]: number for number, entry in enumerate(program)}
    reached: list[int] = []  # For each position: the positions that it depends on, as bits of a number.
    for entry in program:
        implied, needed = 0, []
        for urn in sorted(
            {urn for urn in entry["depends_on"] if urn in position}, key=position.__getitem__, reverse=True
        ):
            if not implied >> position[urn] & 1:
                needed.append(urn)
                implied |= reached[position[urn]] | 1 << position[urn]
        entry["depends_on"] = needed
        reached.append(implied)


def program_from_state(state: dict[str, Any], kubeconfig: str) -> list[dict[str, Any]]:
    """The resources of an exported stack, as a flat list in an order that the engine can register.

    The program uses the clusters of `kubeconfig`, because the state has those of the original stack.
    """
    resources = state["deployment"]["resources"]
    by_urn = {resource["urn"]: resource for resource in resources}
    program = []
    for resource in resources:
        if COMPONENT.match(resource["type"]) or resource.get("external"):
            continue
        inputs = resource.get("inputs", {})
        input_dependencies = resource.get("propertyDependencies") or {}
        program_inputs: dict[str, Any] = {}
        for key, value in inputs.items():
            generated = (
                isinstance(value, str) and AUTO_NAME.fullmatch(value) and not input_dependencies.get(key)
            )
            if key.startswith("__") or generated:
                continue  # The engine's own notes, and names that the engine generates again.
            known_outputs = [
                (text, urn, output)
                for urn in sorted(input_dependencies.get(key) or ())
                if urn in by_urn
                for text, output in _outputs(by_urn[urn]).items()
            ]
            program_inputs[key] = _with_references(
                value, sorted(known_outputs, key=lambda item: -len(item[0]))
            )
        if resource["type"] == "pulumi:providers:kubernetes":
            program_inputs["kubeconfig"] = kubeconfig
        program.append(
            {
                "urn": resource["urn"],
                "type": resource["type"],
                "name": resource["urn"].rsplit("::", 1)[1],
                "inputs": program_inputs,
                "depends_on": _dependencies(resource, by_urn),
                "provider": (resource.get("provider") or "").rsplit("::", 1)[0] or None,
                "timeouts": resource.get("customTimeouts") or {},
                "retain_on_delete": bool(resource.get("retainOnDelete")),
                "protect": bool(resource.get("protect")),
            }
        )
    _remove_implied_dependencies(program)
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
