"""Lenses: parts of a resource's inputs that an operator gets, and how they are written back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from isthmus.core import yaml_files

At = tuple[str | int, ...]
"""The way to a part: keys of maps and indices of lists, as they stand in the graph."""
CLASS = "isthmus.dev/class"
_REFERENCE = re.compile(r"\$\{([^{}]+)\.[^{}.]+\}")


class Lens(NamedTuple):
    """Which parts of a resource's inputs, how one is read, and how it is written back."""

    find: Callable[[Any], Iterator[At]]
    open: Callable[[Any, At], Any]
    close: Callable[[Any, At, Any], None]


def follow(value: Any, at: At) -> Any:
    for key in at:
        value = value[key]
    return value


def store(value: Any, at: At, part: Any) -> None:
    follow(value, at[:-1])[at[-1]] = part


def references(value: Any) -> set[str]:
    """Names of the resources whose outputs a value holds (`${NAME.property}`)."""
    return set(_REFERENCE.findall(value if isinstance(value, str) else json.dumps(value)))


def _stay(value: Any, at: At, part: Any) -> None:
    """The part was changed where it stands."""


def _open_inputs(_: Any) -> Iterator[At]:
    yield ()


INPUTS = Lens(_open_inputs, follow, _stay)
"""All inputs of a resource."""


def _pods(value: Any, at: At = ()) -> Iterator[At]:
    if isinstance(value, dict):
        spec = value.get("spec")
        if isinstance(spec, dict) and isinstance(spec.get("containers"), list):
            yield at
        for key in sorted(value):
            yield from _pods(value[key], (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _pods(item, (*at, index))


PODS = Lens(_pods, follow, _stay)
"""Pod templates (`metadata` and `spec`), wherever a kind keeps them."""


def _boxes(value: Any) -> Iterator[At]:
    for pod in _pods(value):
        for key in ("containers", "initContainers"):
            for index, _ in enumerate(follow(value, pod)["spec"].get(key) or []):
                yield (*pod, "spec", key, index)


BOXES = Lens(_boxes, follow, _stay)
"""Containers of pods, init containers and sidecars among them."""


def document(key: str) -> Lens:
    """The statements of a policy document, which a resource keeps as text under `key`."""

    def find(inputs: Any) -> Iterator[At]:
        if isinstance(inputs.get(key), str) and inputs[key].startswith("{"):
            yield (key,)

    def open_(inputs: Any, at: At) -> Any:
        return json.loads(follow(inputs, at))["Statement"]

    def close(inputs: Any, at: At, content: Any) -> None:
        store(inputs, at, json.dumps({**json.loads(follow(inputs, at)), "Statement": content}))

    return Lens(find, open_, close)


POLICY = document("policy")
TRUST = document("assumeRolePolicy")


def _tasks(inputs: Any) -> Iterator[At]:
    for index, _ in enumerate(_definitions(inputs)):
        yield ("containerDefinitions", index)


def _definitions(inputs: Any) -> list[dict[str, Any]]:
    text = inputs.get("containerDefinitions")
    return json.loads(text) if isinstance(text, str) else []


def _store_task(inputs: Any, at: At, part: Any) -> None:
    boxes = _definitions(inputs)
    boxes[int(at[1])] = part
    inputs["containerDefinitions"] = json.dumps(boxes)


TASKS = Lens(_tasks, lambda inputs, at: _definitions(inputs)[int(at[1])], _store_task)
"""Containers of a task definition, which keeps them as text."""


def _configs(inputs: Any) -> Iterator[At]:
    data = inputs.get("data")
    if isinstance(data, dict) and str(data.get("config.yaml", "")).startswith("mode:"):
        yield ("data", "config.yaml")
    for index, container in enumerate(_definitions(inputs)):
        for place, variable in enumerate(container.get("environment") or []):
            if variable["name"] == "EDGE_CONFIG":
                yield ("containerDefinitions", index, "environment", place, "value")


def _open_config(inputs: Any, at: At) -> dict[str, Any]:
    containers = _definitions(inputs) if at[0] == "containerDefinitions" else inputs["data"]
    return yaml_files.loads(follow(containers, at[1:])).data


def _store_config(inputs: Any, at: At, part: Any) -> None:
    text = yaml_files.dumps(part)
    if at[0] == "data":
        inputs["data"]["config.yaml"] = text
        return
    boxes = _definitions(inputs)
    store(boxes, at[1:], text)
    inputs["containerDefinitions"] = json.dumps(boxes)


CONFIGS = Lens(_configs, _open_config, _store_config)
"""The edge's configurations: a ConfigMap's, or a variable's of a task."""
CONFIGURED = (":ConfigMap", "aws:ecs/taskDefinition:TaskDefinition")
"""Kinds of resource that hold one."""
WORKLOADS = (":Deployment", ":LeaderWorkerSet", ":StatefulSet", ":DaemonSet", ":Job", ":CronJob")
