"""Reads the tasks of gateways on Fargate from the sandbox's AWS, as pods: one of each ECS service.

A task mounts no files but the records' share. What it has in variables (`env:NAME` in the edge's configuration) is here
in files, as it is in a pod.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from isthmus.core import yaml_files
from sandbox import endpoint
from sandbox.local.pods import CLASS, Mount, Objects, Pod, Program, Volume

CONFIG = "EDGE_CONFIG"
ROLES = {"edge": "gateway", "translator": "translator", "sealer": "sealer"}
"""Role of a pod by the name of the task's container."""
IDENTITY = "the role of its task"
_TLS = {"EDGE_CERTIFICATE": "tls.crt", "EDGE_KEY": "tls.key", "EDGE_CA": "ca.crt"}
_KEYS = {
    **{"EDGE_SEAL_KEY": "sealer.pem", "EDGE_SITE_KEY": "site.key", "EDGE_SIGNING_KEY": "sealer.key.pem"},
    **{"EDGE_CALLERS": "callers.yaml", "EDGE_SIGN_ON_KEYS": "jwks.json", "EDGE_EARLIER_KEYS": "earlier.pem"},
}
"""File of each variable that ECS fills in from a secret."""
_FILES: Mapping[str, tuple[str, str]] = {
    CONFIG: ("config", "config.yaml"),
    **{name: ("tls", file) for name, file in _TLS.items()},
    **{name: ("keys", file) for name, file in _KEYS.items()},
}


def read_tasks(url: str, regions: Iterable[str]) -> list[Objects]:
    """What stands on Fargate in these regions of the sandbox's AWS, at its URL."""
    gateways = []
    for region in sorted(set(regions)):
        ecs = endpoint.client("ecs", url, region)
        for cluster in ecs.list_clusters()["clusterArns"]:
            definitions = list(_definitions(ecs, cluster))
            if any(box["name"] == "edge" for box, _, _ in definitions):
                gateways.append(_objects(definitions))
    return gateways


def _definitions(ecs: Any, cluster: str) -> Iterator[tuple[dict[str, Any], dict[str, Any], str]]:
    """The container of each service, its task definition, and the class of its data."""
    names = ecs.list_services(cluster=cluster)["serviceArns"]
    for service in ecs.describe_services(cluster=cluster, services=names)["services"] if names else []:
        query = {"taskDefinition": service["taskDefinition"], "include": ["TAGS"]}
        answer = ecs.describe_task_definition(**query)
        tags = {tag["key"]: tag["value"] for tag in answer.get("tags") or []}
        for box in answer["taskDefinition"]["containerDefinitions"]:
            if box["name"] in ROLES and CLASS in tags:
                yield box, answer["taskDefinition"], tags[CLASS]


def _objects(definitions: list[tuple[dict[str, Any], dict[str, Any], str]]) -> Objects:
    """The pods of one gateway with their files and names."""
    configs = {box["name"]: yaml_files.loads(_variables(box)[CONFIG]).data for box, _, _ in definitions}
    pods, files, certificates, shares = [], {}, {}, {}
    for box, definition, data_class in definitions:
        role = ROLES[box["name"]]
        space = f"isthmus-{data_class}" + ("-sealer" if role == "sealer" else "")
        pod = _pod(box, definition, space, str(configs["edge"]["site"]), data_class)
        pods.append(pod)
        files[space, pod.volumes["config"].source] = {"config.yaml": _variables(box)[CONFIG]}
        certificates[space, pod.volumes["tls"].source] = _names(configs, role)
        for source in _shares(definition).values():
            shares[space, source] = f"/{source}"
    translator = next(pod for pod in pods if pod.role == "translator")
    # Both listen behind one load balancer, which tells them apart by port.
    services = {urlsplit(str(route["url"])).netloc: translator.label for route in configs["edge"]["routes"]}
    return Objects(pods, files, services, certificates, shares)


def _pod(
    box: Mapping[str, Any], definition: Mapping[str, Any], space: str, site: str, data_class: str
) -> Pod:
    """The pod with its program and volumes."""
    name, role = f"{data_class}-{ROLES[box['name']]}", ROLES[box["name"]]
    named = [*_variables(box), *(secret["name"] for secret in box.get("secrets") or [])]
    program = Program(
        name=box["name"],
        command=(*box["entryPoint"], *box["command"]),
        mounts=tuple(
            Mount(mount["containerPath"], mount["sourceVolume"]) for mount in box.get("mountPoints") or []
        ),
        variables={variable: _FILES[variable] for variable in named if variable in _FILES},
    )
    volumes = {
        "config": Volume("files", f"{name}-config"),
        "tls": Volume("secret", f"{name}-tls"),
        "keys": Volume("secret", f"{name}-keys"),
        **{volume: Volume("claim", source) for volume, source in _shares(definition).items()},
    }
    return Pod(site, space, name, role, data_class, (program,), volumes, IDENTITY)


def _shares(definition: Mapping[str, Any]) -> dict[str, str]:
    """The folder of a share for each volume of a task. Both ends of it see the same."""
    return {
        volume["name"]: f"{volume['efsVolumeConfiguration']['fileSystemId']}/{volume['name']}"
        for volume in definition.get("volumes") or []
        if "efsVolumeConfiguration" in volume
    }


def _names(configs: Mapping[str, Mapping[str, Any]], role: str) -> list[str]:
    """The names in the certificate of a task."""
    if role == "gateway":
        return list(configs["translator"]["allowed_clients"])
    return sorted({str(route["server_name"]) for route in configs["edge"]["routes"]})


def _variables(box: Mapping[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in box.get("environment") or []}
