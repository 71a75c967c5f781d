"""Which storage classes may keep a class's data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from isthmus.graph.resources.resources import Resource
from policies.inputs.class_scope import class_above_public
from policies.inputs.values import at, is_unknown
from policies.rules.rule import Subject

_DEFAULTS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
"""Annotations of the class that a claim gets which names none. Source: kubernetes.io/docs/concepts/storage/
storage-classes (Default StorageClass), 2026-11."""
_CLASS_NAME = re.compile(r'"storageClassName": "[^"]*\$\{')
"""A claim whose storage class is not known before the change."""
_CHARTS = ("kubernetes:helm.sh/", "kubernetes:kustomize", "kubernetes:yaml")


def may_keep_class_data(subject: Subject, storage_class: Resource) -> bool:
    """Whether volumes of a storage class may hold a class's data.

    It is so if the cluster uses it by default, or if anything names it that is not in a known namespace without a
    class: a claim, a pod or a chart of a class, a volume, the platform. An unread chart of a class may name any.
    """
    name = at(storage_class.inputs, "metadata.name")
    annotations = at(storage_class.inputs, "metadata.annotations") or {}
    if not isinstance(name, str) or not name or is_unknown(name) or not isinstance(annotations, Mapping):
        return True
    if any(annotations.get(key, "false") != "false" for key in _DEFAULTS):
        return True
    named = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])")
    if subject.platform is not None and named.search(str(subject.platform)):
        return True
    return any(
        _names(subject, other, storage_class, named)
        for other in subject.graph.resources
        if other is not storage_class and not _is_outside(subject, other)
    )


def _is_outside(subject: Subject, resource: Resource) -> bool:
    """Whether a resource is an object in a known namespace without a class."""
    namespace = at(resource.inputs, "metadata.namespace") or ""
    if not resource.type.startswith("kubernetes:") or resource.type.startswith(_CHARTS):
        return False
    is_known = isinstance(namespace, str) and bool(namespace) and not is_unknown(namespace)
    return is_known and not class_above_public(subject.graph, namespace)


def _names(subject: Subject, resource: Resource, storage_class: Resource, named: re.Pattern[str]) -> bool:
    text = json.dumps(resource.inputs, default=str)
    if named.search(text) or _CLASS_NAME.search(text):
        return True
    if storage_class in subject.graph.referred(resource.inputs):
        return True
    namespace = str(resource.inputs.get("namespace") or "")
    return resource.type.startswith(_CHARTS) and bool(class_above_public(subject.graph, namespace))
