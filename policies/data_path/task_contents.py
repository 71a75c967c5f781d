"""Checks of `data-path/own-contents` for gateways on Fargate: what their tasks run, read, mount and log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Resource
from policies.inputs.aws_reach import is_of_component
from policies.inputs.declared import tag
from policies.inputs.documents import containers
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules.rule import Subject

_TASK = "aws:ecs/taskDefinition:TaskDefinition"
_TASK_FIELDS = frozenset(
    {
        "containerDefinitions",
        "cpu",
        "executionRoleArn",
        "family",
        "memory",
        "networkMode",
        "region",
        "skipDestroy",
    }
    | {
        "requiresCompatibilities",
        "runtimePlatform",
        "tags",
        "tagsAll",
        "taskRoleArn",
        "trackLatest",
        "volumes",
    }
)
_CONTAINERS = frozenset({"edge", "translator", "sealer"})
_CONTAINER_FIELDS = frozenset(
    {
        "command",
        "cpu",
        "entryPoint",
        "environment",
        "essential",
        "healthCheck",
        "image",
        "linuxParameters",
        "memory",
    }
    | {
        "logConfiguration",
        "mountPoints",
        "name",
        "portMappings",
        "readonlyRootFilesystem",
        "secrets",
        "stopTimeout",
    }
    | {"user"}
)
_COMMAND = (["python", "-m", "edge"], ["--config", "env:EDGE_CONFIG"])
"""Entry point and command of every container."""
_VARIABLES = frozenset(
    {
        "AWS_CONFIG_FILE",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_SHARED_CREDENTIALS_FILE",
        "EDGE_CONFIG",
        "LOG_LEVEL",
        "TZ",
    }
)
_HEALTH = ("CMD", "python", "-c")
_ASKS_LOOPBACK = "import urllib.request as u; u.urlopen('http://127.0.0.1:"


def own_tasks(subject: Subject) -> Iterator[tuple[Resource, str]]:
    """Task definitions of gateways above public, with the class."""
    for task in subject.graph.of(_TASK):
        class_ = tag(task, CLASS)
        if class_ in SENSITIVITIES and class_ != "public" and is_of_component(task):
            yield task, class_


def problems_of_task(subject: Subject, task: Resource) -> Iterator[str]:
    """What a task has that Isthmus does not make, as the end of a sentence about the task."""
    yield from (f"states `{field}`" for field in sorted(set(task.inputs) - _TASK_FIELDS))
    for volume in list_or_empty(task.inputs.get("volumes")):
        share = at(volume, "efsVolumeConfiguration.fileSystemId")
        shares = subject.graph.referred(share, ":FileSystem")
        is_share = isinstance(volume, Mapping) and set(volume) <= {"name", "efsVolumeConfiguration"}
        if not is_share or not (share in _platform_text(subject) or any(map(is_of_component, shares))):
            yield f"mounts {at(volume, 'name') or 'a volume'}, which is no share of the class's records"
    definitions = task.inputs.get("containerDefinitions")
    boxes = containers(task)
    if boxes is None and not is_unknown(definitions):
        yield "has containers that cannot be read"
    for container in boxes or []:
        yield from _problems_of_container(subject, container)


def _problems_of_container(subject: Subject, container: Mapping[str, Any]) -> Iterator[str]:
    name = container.get("name")
    if name not in _CONTAINERS:
        yield f"runs the container {name}"
        return
    yield from (
        f"states `{field}` for the container {name}" for field in sorted(set(container) - _CONTAINER_FIELDS)
    )
    if (container.get("entryPoint"), container.get("command")) != _COMMAND:
        line = [*list_or_empty(container.get("entryPoint")), *list_or_empty(container.get("command"))]
        yield f"runs `{' '.join(map(str, line))[:80]}` in the container {name}"
    for variable in list_or_empty(container.get("environment")):
        if at(variable, "name") not in _VARIABLES:
            yield f"sets the variable {at(variable, 'name')} of the container {name}"
    yield from _problems_of_secrets(subject, container)
    driver = at(container, "logConfiguration.logDriver")
    if driver not in (None, "awslogs"):
        yield f"sends the log of the container {name} by {driver}"
    check = list_or_empty(at(container, "healthCheck.command"))
    if check and (tuple(check[:3]) != _HEALTH or not str(check[3]).startswith(_ASKS_LOOPBACK)):
        yield f"runs another health check in the container {name}"


def _problems_of_secrets(subject: Subject, container: Mapping[str, Any]) -> Iterator[str]:
    """Secrets that the platform does not name: they decide about callers, keys and certificates."""
    if subject.platform is None:
        return
    stated = _platform_text(subject)
    for secret in list_or_empty(container.get("secrets")):
        place = str(at(secret, "valueFrom"))
        arn = ":".join(place.split(":")[:7])
        if is_unknown(place) or arn not in stated:
            yield f"takes {at(secret, 'name')} of the container {container.get('name')} from {place}"


def _platform_text(subject: Subject) -> frozenset[str]:
    """Every text that the gateways of the platform state."""
    gateways = subject.platform.gateways if subject.platform else []
    return frozenset(_texts([gateway.model_dump(mode="json") for gateway in gateways]))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for child in value.values():
            yield from _texts(child)
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child)
    elif isinstance(value, str):
        yield value
