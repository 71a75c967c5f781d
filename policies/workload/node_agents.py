"""Agents of nodes that the trust file names: pods that read logs and figures of their node, and nothing else of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.graph.resources.resources import name_and_namespace
from policies.data_path.control_namespaces import control_reason
from policies.inputs.class_scope import class_of
from policies.inputs.pods import Pod, pods
from policies.inputs.values import at, has_unknown, list_or_empty
from policies.rules.rule import Subject

_READABLE = ("/proc", "/sys", "/var/log")
"""Folders of a node that an agent may read. `/var/log` has the logs of every pod on the node, the classes' too."""
_HOST = ("hostNetwork", "hostPID", "hostIPC")


def is_node_agent(subject: Subject, pod: Pod) -> bool:
    """Whether an entry `objects` names a pod's object exactly, and it only reads logs and figures of its node.

    Its namespace is no class's and no control plane's.
    """
    name, namespace = name_and_namespace(pod.resource)
    if class_of(subject.graph, namespace) or control_reason(subject, namespace):
        return False
    if not subject.trusts_exactly("objects", f"{namespace}/{name}") or any(map(pod.spec.get, _HOST)):
        return False
    volumes = list_or_empty(pod.spec.get("volumes"))
    folders = [volume for volume in volumes if isinstance(volume, Mapping) and "hostPath" in volume]
    if has_unknown([volumes, [container.get("volumeMounts") for container in pod.containers]]):
        return False
    return bool(folders) and all(_is_read_only(pod, volume) for volume in folders)


def agents_only(subject: Subject, namespace: str) -> bool:
    """Whether a namespace has pods, and each is such an agent."""
    inside = [pod for pod in pods(subject.graph) if pod.namespace == namespace]
    return bool(inside) and all(is_node_agent(subject, pod) for pod in inside)


def _is_read_only(pod: Pod, volume: Mapping[str, Any]) -> bool:
    path = str(at(volume, "hostPath.path"))
    is_readable = ".." not in path and path.rstrip("/").startswith(tuple(f"{root}/" for root in _READABLE))
    is_readable = is_readable or path.rstrip("/") in _READABLE
    mounts = list(_mounts(pod, str(volume.get("name"))))
    return is_readable and bool(mounts) and all(mount.get("readOnly") is True for mount in mounts)


def _mounts(pod: Pod, name: str) -> Iterator[Mapping[str, Any]]:
    for container in pod.containers:
        for mount in list_or_empty(container.get("volumeMounts")):
            if isinstance(mount, Mapping) and mount.get("name") == name:
                yield mount
