"""Pods that call AWS: recognised by their credential helper, with the models that they call and their identity."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.references import undecided
from isthmus.graph.resources.resources import Graph, Resource, name_and_namespace, pod_containers
from isthmus.graph.resources.texts import load_config

CREDENTIAL_HELPER = "aws_signing_helper"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
ROLE_ARN = "eks.amazonaws.com/role-arn"
"""Annotation of a service account with the AWS role of its pods (IAM roles for service accounts)."""


@dataclass(frozen=True)
class Translator:
    """A workload whose pods have an AWS identity, or whose label says that they should."""

    name: str
    namespace: str
    class_: str
    template: Mapping[str, Any]
    placed: str = ""
    """The role that its pods get through their service account in an EKS cluster."""
    resource: Resource | None = None

    @property
    def options(self) -> dict[str, str]:
        """Options of its credential helper."""
        for box in pod_containers(self.template):
            arguments = _command_line(box)
            if _is_credential_helper(box):
                return {key: value for key, value in itertools.pairwise(arguments) if key.startswith("--")}
        return {}

    @property
    def role(self) -> str:
        return self.options.get("--role-arn", "") or self.placed

    @property
    def subject(self) -> str:
        """Common name of its certificate."""
        return f"{self.name}.{self.namespace}.svc"

    @property
    def sessions(self) -> str:
        return self.options.get("--endpoint", "")

    @property
    def anchor(self) -> str:
        return self.options.get("--trust-anchor-arn", "")

    def models(self, graph: Graph) -> list[dict[str, Any]]:
        """The models in the configuration that its pods mount; empty without one.

        Raises `InputError` if the configuration is unknown before it is created.
        """
        volumes = self.template["spec"].get("volumes") or []
        names = {volume["configMap"].get("name") for volume in volumes if volume.get("configMap")}
        referred_maps = graph.referred([name for name in names if undecided(name)], ":ConfigMap")
        for config in graph.of("kubernetes:core/v1:ConfigMap"):
            name, namespace = name_and_namespace(config)
            data = config.inputs.get("data") or {}
            text = data if isinstance(data, str) else data.get("config.yaml")
            if (name in names or config in referred_maps) and namespace == self.namespace and text:
                return load_config(text, config.name).get("models") or []
        return []


def translators(graph: Graph) -> Iterator[Translator]:
    """Every workload with the credential helper, a role through its service account, or a translator's label."""
    for pod, template in graph.pods():
        labels = (template.get("metadata") or {}).get("labels") or {}
        name, namespace = name_and_namespace(pod)
        placed = role_of_service_account(graph, namespace, template)
        is_labelled = labels.get("isthmus.dev/role") == "translator"
        if is_labelled or placed or any(map(_is_credential_helper, pod_containers(template))):
            class_ = _class(graph, namespace, labels)
            yield Translator(name, namespace, class_, template, placed, pod)


def role_of_service_account(graph: Graph, namespace: str, template: Mapping[str, Any]) -> str:
    """The role of pods through their service account (EKS pod identity or annotation); empty if they have none."""
    account = (template.get("spec") or {}).get("serviceAccountName") or "default"
    for association in graph.of(ASSOCIATION):
        if (association.inputs.get("namespace"), association.inputs.get("serviceAccount")) == (
            namespace,
            account,
        ):
            return str(association.inputs.get("roleArn") or "unknown")
    for account_resource in graph.of("kubernetes:core/v1:ServiceAccount"):
        annotations = (account_resource.inputs.get("metadata") or {}).get("annotations") or {}
        if name_and_namespace(account_resource) == (account, namespace) and ROLE_ARN in annotations:
            return str(annotations[ROLE_ARN] or "unknown")
    return ""


def identity(graph: Graph, namespace: str, template: Mapping[str, Any]) -> str:
    """The AWS role of the pods of a template, assigned in any way; empty if they have none."""
    placed = role_of_service_account(graph, namespace, template)
    if placed:
        return placed
    has_helper = any(map(_is_credential_helper, pod_containers(template)))
    role_arns = [
        str(variable.get("value") or "unknown")
        for box in pod_containers(template)
        for variable in box.get("env") or []
        if variable.get("name") == "AWS_ROLE_ARN"
    ]
    role = Translator("", namespace, "", template).role if has_helper else ""
    return role or (role_arns[0] if role_arns else "unknown" if has_helper else "")


def _class(graph: Graph, namespace: str, labels: Mapping[str, str]) -> str:
    """The class of the namespace, which its pods cannot choose; if it has none, the class of the pods."""
    for resource in graph.of("kubernetes:core/v1:Namespace"):
        meta = resource.inputs["metadata"]
        if meta.get("name") == namespace and CLASS in (meta.get("labels") or {}):
            return meta["labels"][CLASS]
    return labels.get(CLASS, "")


def _is_credential_helper(box: Mapping[str, Any]) -> bool:
    return any(
        argument.rsplit("/", 1)[-1] == CREDENTIAL_HELPER for argument in _command_line(box)
    ) or "credential-helper" in str(box.get("image"))


def _command_line(box: Mapping[str, Any]) -> list[str]:
    return [str(argument) for key in ("command", "args") for argument in box.get(key) or []]
