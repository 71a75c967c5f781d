"""Collects each fixed interface from the product as a flat table: entry → value, both text.

`SAMPLES` needs no rendering, `RENDERED` reads a folder of renderings (`tests.graders.examples.write`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from prometheus_client.parser import text_string_to_metric_families

from isthmus.core import yaml_files
from scripts import component_reference
from tests.fixed_interfaces import internals, sources
from tests.fixed_interfaces.checkouts import AS_OF
from tests.fixed_interfaces.shapes import compact, keys_of, keys_of_schema, without_prose
from tests.fixed_interfaces.sources import ROOT

Table = dict[str, str]
WIDE = "400"
"""Columns of the terminal; help texts are wrapped at 80 of them."""
_FLOW = "2 1 eni-1 10.20.4.7 203.0.113.9 40000 443 6 5 500 1795608000 1795608060 ACCEPT OK\n"
"""A line of a VPC flow log: a pod of the class reached an address outside on 2026-11-25."""
_EVERY_COMMAND = ("--help", "--install-completion", "--show-completion")


# --- the command line ---


def commands() -> Table:
    """Options and arguments of each command: `isthmus plan --output` → its short name, its value, its default."""
    with mock.patch.dict(os.environ, COLUMNS=WIDE):
        return dict(_command(()))


def _command(arguments: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    help_text = internals.run_cli(*arguments, "--help")
    label = " ".join(("isthmus", *arguments))
    yield label, " ".join(re.findall(r"^Usage: isthmus(.*)$", help_text, re.M)).strip()
    sections = re.split(r"^(\w+):$", help_text, flags=re.M)
    for title, text in zip(sections[1::2], sections[2::2], strict=True):
        unwrapped = re.sub(r"\n {4,}(?=\S)", "  ", text)
        rows = re.findall(r"^  (\S.*?)(?:  +(\S.*))?$", unwrapped, re.M)
        for left, right in rows:
            if title == "Commands":
                yield from _command((*arguments, left))
            elif not any(name in left for name in _EVERY_COMMAND):
                limits = re.search(r"\[([^\[\]]*(?:default|required|[<>]=?)[^\[\]]*)\]\s*$", right)
                names, value = re.fullmatch(r"((?:-\S+, )*\S+)(.*)", left).groups()  # type: ignore[union-attr]
                name = names.rpartition(", ")[2]
                words_of = [
                    names.rpartition(", ")[0],
                    value.strip(),
                    " ".join(limits[1].split()) if limits else "",
                ]
                yield f"{label} {name}", "; ".join(filter(None, words_of))


def schemas() -> Table:
    """The keys of the files that people write, as `isthmus schema NAME` prints them."""
    names = re.search(r"[<{](\w+(?:\|\w+)+)[>}]", internals.run_cli("schema", "--help"))
    assert names, "`isthmus schema --help` does not list the files"
    return {
        f"{name}: {path}": rule
        for name in names[1].split("|")
        for path, rule in keys_of_schema(json.loads(internals.run_cli("schema", name))).items()
    }


def json_outputs() -> Table:
    """The keys of every JSON that a command prints."""
    size = ("--model", "meta-llama/Llama-3.1-8B-Instruct", "--gpu", "h100-sxm-80gb", "--rps", "1")
    size = (*size, "--prompt-tokens", "100", "--output-tokens", "100")
    runs = {
        "blueprints": ("blueprints",),
        "blueprints NAME": ("blueprints", "pilot"),
        "plan": ("plan", str(ROOT / "examples" / "pilot.requirements.yaml"), "--as-of", AS_OF),
        "size": ("size", *size),
    }
    outputs = {
        name: json.loads(internals.run_cli(*arguments, "--format", "json"))
        for name, arguments in runs.items()
    }
    outputs["images"] = internals.images_output()
    outputs["sanitise"] = internals.sanitise_summary()
    with internals.sealed_store() as (store, public):
        key = ("--public-key", str(public), "--format", "json")
        outputs["audit verify"] = json.loads(
            internals.run_cli("audit", "verify", str(store), "--as-of", AS_OF, *key)
        )
        flows = store.parent / "flows.log"
        flows.write_text(_FLOW, "utf-8")
        options = ("--from", AS_OF, "--to", "2026-11-26", "--flow-log", str(flows), "--inside", "10.0.0.0/8")
        outputs["audit report"] = json.loads(
            internals.run_cli(
                "audit", "report", str(store), *options, "--address", "restricted=10.20.4.0/24", *key
            )
        )
    table = {
        f"{name}: {path}": types for name, data in outputs.items() for path, types in keys_of(data).items()
    }
    for name, schema in internals.output_schemas().items():
        table |= {f"{name}: {path}": rule for path, rule in keys_of_schema(schema).items()}
    return {path.replace(internals.WRITER, "WRITER"): types for path, types in table.items()}


# --- what others name ---


def rules() -> Table:
    """The policies' rules by their ids, which silences and settings name."""
    rules_file = json.loads((ROOT / "policies" / "rules.json").read_text("utf-8"))
    return {
        rule["id"]: f"{rule['family']}, {rule['severity']}, {'stops' if rule['stops'] else 'warns'}"
        for rule in rules_file
    }


def error_codes() -> Table:
    """The edge's error codes with their HTTP statuses."""
    return sources.error_codes()


def metrics() -> Table:
    """The edge's metrics with their kinds and labels."""
    text = internals.gateway_metrics().decode()
    live: Table = {}
    for family in text_string_to_metric_families(text):
        labels = sorted({name for sample in family.samples for name in sample.labels})
        kinds = sorted({sample.name for sample in family.samples})
        live |= {name: f"{family.type}, labels {' '.join(labels) or 'none'}" for name in kinds}
    return {**sources.metric_names_in_texts(), **live}


def environment_variables() -> Table:
    """Environment variables that the product names, with the folders that name them."""
    return sources.environment_variables()


def module_commands() -> Table:
    """`python -m MODULE` of pods and operators with its options and commands, and how the images start."""
    table = sources.module_commands()
    for programs_with_option in sources.programs_with_options():
        table |= _program(programs_with_option, ())
    return table


def _program(module: str, arguments: tuple[str, ...]) -> Table:
    help_text = internals.run_module_help(module, *arguments)
    assert help_text, f"`python -m {' '.join((module, *arguments))} --help` prints nothing"
    label = " ".join(("python -m", module, *arguments))
    options = re.findall(r"^  (-.*?)(?:   *|$)", help_text, re.M)
    names = {name for line in options for name in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line)} - {"--help"}
    table = {f"{label} {name}": "" for name in names}
    if commands_of := re.search(r"^  \{([a-z,-]+)\}", help_text, re.M):
        for subcommand in commands_of[1].split(","):
            table |= {f"{label} {subcommand}": "command", **_program(module, (*arguments, subcommand))}
    elif values := re.search(r"^positional arguments:\n((?:  +\S.*\n)+)", help_text, re.M):
        table |= {f"{label} {name}": "argument" for name in re.findall(r"^  (\w+)", values[1], re.M)}
    return table


def settings() -> Table:
    """Keys of a stack's configuration, and labels and annotations `isthmus.dev/NAME`."""
    return sources.labels() | {f"isthmus:{name}": "" for name in internals.setting_names()}


def hosted_components() -> Table:
    """The schema of the components' package, without its descriptions."""
    schema = component_reference.package_schema()
    table: Table = {"name": schema["name"]}
    for token, resource in schema["resources"].items():
        table[token] = "component" if resource.get("isComponent") else "resource"
        for part, required in (("inputProperties", "requiredInputs"), ("properties", "required")):
            kind = "input" if part == "inputProperties" else "output"
            table |= _properties(f"{token} {kind}", resource.get(part, {}), resource.get(required, []))
    for token, definition in schema["types"].items():
        table[token] = f"type {definition['type']}"
        table |= _properties(token, definition.get("properties", {}), definition.get("required", []))
    return table


def _properties(owner: str, properties: dict[str, Any], required: list[str]) -> Table:
    return {
        f"{owner} {name}": f"{compact(without_prose(definition))}{' required' if name in required else ''}"
        for name, definition in properties.items()
    }


# --- what is stored ---


def edge_configuration() -> Table:
    """The keys of the edge's configuration files, by mode."""
    schema = internals.edge_configuration_schema()
    table: Table = {}
    for variant in schema["oneOf"]:
        model = schema["$defs"][variant["$ref"].rpartition("/")[2]]
        rules_of_mode = keys_of_schema({**model, "$defs": schema["$defs"]})
        table |= {
            f"{model['properties']['mode']['const']}: {path}": rule for path, rule in rules_of_mode.items()
        }
    return table


def database() -> Table:
    """The SQL of the edge's database, a line an entry."""
    return {
        f"{name}, line {number:03d}": line
        for name, text in internals.database_statements().items()
        for number, line in enumerate(text.strip().splitlines(), 1)
    }


def audit_records() -> Table:
    """The bytes of a record of each kind, and the keys of the line that keeps content."""
    lines = internals.audit_lines()
    table = {f"record {number:02d}": line.decode("ascii") for number, line in enumerate(lines)}
    return table | {
        f"content line: {path}": types for path, types in keys_of(internals.content_line()).items()
    }


def seals() -> Table:
    """The bytes of a seal's head line, with its signature; what follows is the records."""
    with internals.sealed_store() as (store, _):
        files = [path for path in sorted(store.rglob("*")) if path.is_file()]
        return {
            path.relative_to(store).as_posix(): path.read_bytes().partition(b"\n")[0].decode("ascii")
            for path in files
        }


def emergency_access() -> Table:
    """The text that two people sign, a line an entry: signatures of before must stay good."""
    lines = internals.emergency_access_text().splitlines()
    return {f"line {number:02d}": line for number, line in enumerate(lines, 1)}


def journal() -> Table:
    """The lines that a gateway prints of requests; what the clock or chance decides is named by its type."""
    table: Table = {}
    for name, line in zip(("full", "least"), internals.journal_lines(), strict=True):
        for number, (key, value) in enumerate(line.items()):
            chance = key in ("time", "request_id") or (key.endswith("_ms") and value is not None)
            table[f"{name} {number:02d} {key}"] = type(value).__name__ if chance else compact(value)
    return table


SAMPLES: dict[str, Callable[[], Table]] = {
    "commands": commands,
    "schemas": schemas,
    "json_outputs": json_outputs,
    "rules": rules,
    "error_codes": error_codes,
    "metrics": metrics,
    "environment_variables": environment_variables,
    "module_commands": module_commands,
    "settings": settings,
    "hosted_components": hosted_components,
    "edge_configuration": edge_configuration,
    "database": database,
    "audit_records": audit_records,
    "seals": seals,
    "emergency_access": emergency_access,
    "journal": journal,
}


# --- renderings ---


def rendered_files(folder: Path) -> Table:
    """Each rendered file with the first 16 hexadecimal digits of its SHA-256."""
    return {
        path.relative_to(folder).as_posix(): digest(path.read_bytes())
        for stack in _stacks(folder)
        for path in sorted(stack.rglob("*"))
        if path.is_file()
    }


def rendered_resources(folder: Path) -> Table:
    """Each resource by its URN, with the digest of its entry in `graph.json`: inputs, options, dependencies."""
    return {
        resource["urn"]: digest(compact(resource).encode())
        for stack in _stacks(folder)
        for resource in _graph(stack)
    }


def rendered_commands(folder: Path) -> Table:
    """Command and arguments of each container that runs the edge, in pods and in tasks on Fargate."""
    table: Table = {}
    for stack in _stacks(folder):
        for resource in _graph(stack):
            for container in _containers(resource["inputs"]):
                arguments = [
                    *(container.get("command") or container.get("entryPoint") or []),
                    *(
                        container.get("args")
                        or (container.get("command") if "entryPoint" in container else [])
                        or []
                    ),
                ]
                if any(
                    str(argument) == "edge" or str(argument).startswith("edge.") for argument in arguments
                ):
                    label = f"{stack.name} {_kind(resource)} {_name(resource)} {container['name']}"
                    table[label] = " ".join(map(str, arguments))
    return table


def rendered_config_maps(folder: Path) -> Table:
    """Each ConfigMap and the digest of its data; the name of the edge's bears a hash of that data."""
    return {
        f"{stack.name} {_name(resource)}": digest(compact(resource["inputs"].get("data")).encode())
        for stack in _stacks(folder)
        for resource in _graph(stack)
        if resource["type"] == "kubernetes:core/v1:ConfigMap"
    }


def rendered_descriptions(folder: Path) -> Table:
    """Each description within an AWS resource: of many types a changed one replaces the resource."""
    return {
        f"{stack.name} {_kind(resource)} {resource['name']} {path}": text
        for stack in _stacks(folder)
        for resource in _graph(stack)
        if resource["type"].startswith("aws:")
        for path, text in _descriptions(resource["inputs"])
    }


def rendered_plans(folder: Path) -> Table:
    """Each number, name and date of the plans that the stacks were rendered from; sentences are left out."""
    table: Table = {}
    for stack in _stacks(folder):
        plan = yaml_files.load(folder / ".project" / "stacks" / f"{stack.name}.plan.yaml").data
        table |= {f"{stack.name} {path}": value for path, value in _leaves(plan, "")}
    return table


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _leaves(child, f"{path}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _leaves(child, f"{path}.{index}")
    elif not (isinstance(value, str) and " " in value):
        yield path, str(value)


RENDERED: dict[str, Callable[[Path], Table]] = {
    "rendered_files": rendered_files,
    "rendered_resources": rendered_resources,
    "rendered_commands": rendered_commands,
    "rendered_config_maps": rendered_config_maps,
    "rendered_descriptions": rendered_descriptions,
    "rendered_plans": rendered_plans,
}


def digest(data: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


def _stacks(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _graph(stack: Path) -> list[dict[str, Any]]:
    return json.loads((stack / "graph.json").read_text("utf-8"))["resources"]


def _kind(resource: dict[str, Any]) -> str:
    return resource["type"].rpartition(":")[2]


def _name(resource: dict[str, Any]) -> str:
    metadata = resource["inputs"].get("metadata") or {}
    names = (metadata.get("namespace"), metadata.get("name") or resource["name"])
    return "/".join(filter(None, names))


def _containers(value: Any) -> Iterator[dict[str, Any]]:
    """Containers of pods at any depth, and those of a task definition, which are JSON in a text."""
    if isinstance(value, str) and value.startswith('[{"'):
        value = {"containers": json.loads(value)}
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("containers", "initContainers") and isinstance(item, list):
                yield from (container for container in item if isinstance(container, dict))
            else:
                yield from _containers(item)
    elif isinstance(value, list):
        for item in value:
            yield from _containers(item)


def _descriptions(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key.lower().endswith("description") and isinstance(item, str):
                yield f"{path}{key}", item
            else:
                yield from _descriptions(item, f"{path}{key}.")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _descriptions(item, f"{path}{number}.")
