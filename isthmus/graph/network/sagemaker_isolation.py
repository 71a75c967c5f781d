"""Whether models on SageMaker are isolated, from the rendered graph; and the ARN by which an endpoint is called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from isthmus.contracts.reference import handling
from isthmus.graph.network.private_endpoints import ingress_rules, policies
from isthmus.graph.resources.resources import Fault, Graph, Resource, as_list

INVOKE_ACTION = "sagemaker:InvokeEndpoint"
CLASS = "isthmus.dev/class"


def models_are_isolated(graph: Graph) -> list[Fault]:
    """Find models that are not isolated in a VPC, reach more than S3, can be reached, or have no image digest."""
    broken: list[Fault] = []
    for model in graph.of("aws:sagemaker/model:Model"):
        inputs = model.inputs
        network = inputs.get("vpcConfig") or {}
        if inputs.get("enableNetworkIsolation") is not True:
            broken.append(Fault(f"{model.name} may call out: it is not isolated", model))
        if not network.get("subnets") or not network.get("securityGroupIds"):
            broken.append(Fault(f"{model.name} stands in no network of ours", model))
        boxes = [inputs.get("primaryContainer"), *(inputs.get("containers") or [])]
        broken += [
            Fault(f"{model.name} runs {box.get('image')}, which names no digest", model)
            for box in boxes
            if box and not re.search(r"@sha256:[0-9a-f]{64}$", str(box.get("image")))
        ]
        for group in graph.referred(network.get("securityGroupIds") or [], ":SecurityGroup"):
            broken += [
                Fault(f"{model.name} lets {source} in by {rule}", model)
                for rule, source in ingress_rules(graph, group)
            ]
            broken += [
                Fault(f"{model.name} reaches {destination} by {rule}", model)
                for rule, destination in _egress_rules(graph, group)
            ]
    return [*broken, *_capture_faults(graph)]


def _egress_rules(graph: Graph, group: Resource) -> Iterator[tuple[str, str]]:
    """Egress rules to anything but a service's own addresses."""
    for rule in graph.of("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"):
        if group in graph.referred(rule.inputs.get("securityGroupId")):
            for key in ("cidrIpv4", "cidrIpv6", "referencedSecurityGroupId"):
                if rule.inputs.get(key):
                    yield rule.name, str(rule.inputs[key])
    for rule in group.inputs.get("egress") or []:
        yield group.name, str(rule)


def _capture_faults(graph: Graph) -> list[Fault]:
    """Findings about captured prompts and answers: the class must allow to keep them, and they must be encrypted."""
    broken: list[Fault] = []
    for config in graph.of("aws:sagemaker/endpointConfiguration:EndpointConfiguration"):
        capture = config.inputs.get("dataCaptureConfig") or {}
        if not capture.get("enableCapture"):
            continue
        class_ = str((config.inputs.get("tags") or {}).get(CLASS))
        class_rules = handling.HANDLING.get(class_)  # type: ignore[call-overload]
        if class_rules is None or class_rules.content_days_max == 0 or class_rules.content_on_prem:
            broken.append(Fault(f"{config.name} captures prompts and answers of {class_} work", config))
        if not capture.get("kmsKeyId"):
            broken.append(Fault(f"{config.name} captures under no key", config))
    return broken


def endpoint_arn(graph: Graph, endpoint: Resource, model: dict[str, Any]) -> str | None:
    """The ARN by which a private endpoint's policy names the model that a translator calls; None if it does not."""
    region, name = re.escape(str(model.get("region"))), re.escape(str(model.get("endpoint")))
    pattern = re.compile(rf"arn:aws[\w-]*:sagemaker:{region}:[^:*?]+:endpoint/{name}")
    resources = (
        resource
        for document in policies(graph, endpoint)
        for statement in document
        for resource in as_list(statement.get("Resource"))
    )
    return next((resource_arn for resource_arn in resources if pattern.fullmatch(resource_arn)), None)
