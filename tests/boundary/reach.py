"""What of a rendering reaches classified data and bears a foreign mark. It uses neither `isthmus.graph` nor `policies`.

In scope is an object in the namespace of a class above public, an object of the whole cluster, and every resource of
AWS. A foreign value in it is a path if it is an address, an account, a registry, a bucket or a namespace with pods of
others: these decide where data may go or who may come for it. Names of a cluster's own objects are none: they lead
nowhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tests.boundary.edits import ACCOUNT, ADDRESS

PUBLIC = "isthmus-public"
_ANYWHERE = (ADDRESS, ACCOUNT)
"""Marks that count wherever they stand."""
_IN_CONTEXT = {
    "bucket": re.compile(r'(:::|"(bucket|uri|source|modelDataUrl|s3Uri)": "(s3://)?)evil-bucket'),
    "registry": re.compile(r'"image": "(docker\.io|oci://docker\.io)/evil|startsWith\([^)]*docker\.io/evil'),
}
"""Marks that count where the value names a bucket or a registry, and not where it is the name of a Secret or a file."""


def opened(before: Iterable[Any], after: Iterable[Any]) -> list[str]:
    """`TYPE NAME: mark` for each resource in scope that bears a mark which it did not bear before."""
    known = {resource.urn: marks(resource) for resource in before}
    return sorted(
        f"{resource.type} {resource.name}: {mark}"
        for resource in after
        if _in_scope(resource)
        for mark in marks(resource) - known.get(resource.urn, set())
    )


def marks(resource: Any) -> set[str]:
    """The foreign marks in a resource's inputs."""
    text = json.dumps(resource.inputs, default=str)
    found = {mark for mark in _ANYWHERE if mark in text}
    found |= {mark for mark, pattern in _IN_CONTEXT.items() if pattern.search(text)}
    if resource.type.endswith(":NetworkPolicy") and "kube-system" in _selected_namespaces(resource.inputs):
        found.add("kube-system")
    return found


def _in_scope(resource: Any) -> bool:
    if resource.type.startswith("aws:"):
        return True
    if not resource.type.startswith("kubernetes:"):
        return False
    namespace = (resource.inputs.get("metadata") or {}).get("namespace")
    return namespace != PUBLIC


def _selected_namespaces(inputs: Any) -> Iterator[str]:
    """Names of the namespaces in a policy's peers."""
    if isinstance(inputs, dict):
        selector = inputs.get("namespaceSelector")
        if isinstance(selector, dict):
            yield str((selector.get("matchLabels") or {}).get("kubernetes.io/metadata.name"))
        for value in inputs.values():
            yield from _selected_namespaces(value)
    elif isinstance(inputs, list):
        for value in inputs:
            yield from _selected_namespaces(value)
