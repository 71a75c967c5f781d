"""Pods that call AWS, known by the credential helper in them; what they are told to call, and as whom."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.references import undecided
from isthmus.graph.resources.resources import Graph, Resource, boxes, place
from isthmus.graph.resources.texts import loaded

HELPER = "aws_signing_helper"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
ROLE_ARN = "eks.amazonaws.com/role-arn"
"""Annotation of a service account by which EKS gives its pods a role (IAM roles for service accounts)."""


@dataclass(frozen=True)
class Translator:
    """A workload whose pods have an AWS identity, or should by their role."""

    name: str
    namespace: str
    class_: str
    template: Mapping[str, Any]
    placed: str = ""
    """The role that its pods bear by their service account in an EKS cluster."""
    resource: Resource | None = None

    @property
    def options(self) -> dict[str, str]:
        """What its credential helper is told."""
        for box in boxes(self.template):
            words = _words(box)
            if _helps(box):
                return {key: value for key, value in itertools.pairwise(words) if key.startswith("--")}
        return {}

    @property
    def role(self) -> str:
        return self.options.get("--role-arn", "") or self.placed

    @property
    def subject(self) -> str:
        """Its certificate's common name."""
        return f"{self.name}.{self.namespace}.svc"

    @property
    def sessions(self) -> str:
        return self.options.get("--endpoint", "")

    @property
    def anchor(self) -> str:
        return self.options.get("--trust-anchor-arn", "")

    def models(self, graph: Graph) -> list[dict[str, Any]]:
        """The models in the configuration that the pods mount; none where there is no such configuration.

        Raises `InputError` where its words are not known before it is made.
        """
        volumes = self.template["spec"].get("volumes") or []
        wanted = {each["configMap"].get("name") for each in volumes if each.get("configMap")}
        meant = graph.referred([each for each in wanted if undecided(each)], ":ConfigMap")
        for config in graph.of("kubernetes:core/v1:ConfigMap"):
            name, namespace = place(config)
            data = config.inputs.get("data") or {}
            text = data if isinstance(data, str) else data.get("config.yaml")
            if (name in wanted or config in meant) and namespace == self.namespace and text:
                return loaded(text, config.name).get("models") or []
        return []


def translators(graph: Graph) -> Iterator[Translator]:
    """Every workload with the credential helper in its pods, a role by their service account, or the label of a
    translator."""
    for each, template in graph.pods():
        labels = (template.get("metadata") or {}).get("labels") or {}
        name, namespace = place(each)
        placed = role_by_place(graph, namespace, template)
        called = labels.get("isthmus.dev/role") == "translator"
        if called or placed or any(map(_helps, boxes(template))):
            class_ = _class(graph, namespace, labels)
            yield Translator(name, namespace, class_, template, placed, each)


def role_by_place(graph: Graph, namespace: str, template: Mapping[str, Any]) -> str:
    """What pods of a template become by their service account: by EKS pod identity, or by the account's annotation;
    empty where neither gives them a role."""
    account = (template.get("spec") or {}).get("serviceAccountName") or "default"
    for each in graph.of(ASSOCIATION):
        if (each.inputs.get("namespace"), each.inputs.get("serviceAccount")) == (namespace, account):
            return str(each.inputs.get("roleArn") or "unknown")
    for each in graph.of("kubernetes:core/v1:ServiceAccount"):
        notes = (each.inputs.get("metadata") or {}).get("annotations") or {}
        if place(each) == (account, namespace) and ROLE_ARN in notes:
            return str(notes[ROLE_ARN] or "unknown")
    return ""


def identity(graph: Graph, namespace: str, template: Mapping[str, Any]) -> str:
    """The AWS role that pods of a template have, in whichever way; empty where they have none."""
    placed = role_by_place(graph, namespace, template)
    if placed:
        return placed
    helped = any(map(_helps, boxes(template)))
    named = [
        str(variable.get("value") or "unknown")
        for box in boxes(template)
        for variable in box.get("env") or []
        if variable.get("name") == "AWS_ROLE_ARN"
    ]
    role = Translator("", namespace, "", template).role if helped else ""
    return role or (named[0] if named else "unknown" if helped else "")


def _class(graph: Graph, namespace: str, labels: Mapping[str, str]) -> str:
    """The namespace's class, which its pods cannot choose; the pods' own where the namespace has none."""
    for each in graph.of("kubernetes:core/v1:Namespace"):
        meta = each.inputs["metadata"]
        if meta.get("name") == namespace and CLASS in (meta.get("labels") or {}):
            return meta["labels"][CLASS]
    return labels.get(CLASS, "")


def _helps(box: Mapping[str, Any]) -> bool:
    return any(word.rsplit("/", 1)[-1] == HELPER for word in _words(box)) or "credential-helper" in str(
        box.get("image")
    )


def _words(box: Mapping[str, Any]) -> list[str]:
    return [str(word) for key in ("command", "args") for word in box.get(key) or []]
