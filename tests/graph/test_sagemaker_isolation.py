"""Models on SageMaker: which of their settings let data out."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.engine.render.recorder import Resource
from isthmus.graph.network.sagemaker_isolation import models_are_isolated
from isthmus.graph.resources.resources import Graph
from tests.policies.making import resource_of

IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/vllm@sha256:" + "a" * 64
ISOLATED = {
    "enableNetworkIsolation": True,
    "vpcConfig": {"subnets": ["subnet-a"], "securityGroupIds": ["sg-1"]},
    "primaryContainer": {"image": IMAGE},
}


def faulty(*resources: Resource) -> list[object]:
    return [fault.resource for fault in models_are_isolated(Graph(resources))]


def model(**changes: Any) -> Resource:
    return resource_of("aws:sagemaker/model:Model", "model", {**ISOLATED, **changes})


def capturing(class_: str = "confidential", **capture: Any) -> Resource:
    inputs = {
        "tags": {"isthmus.dev/class": class_},
        "dataCaptureConfig": {"enableCapture": True, "kmsKeyId": "${key.arn}", **capture},
    }
    return resource_of("aws:sagemaker/endpointConfiguration:EndpointConfiguration", "config", inputs)


def test_an_isolated_model_in_a_network_with_a_pinned_image_has_no_fault() -> None:
    assert faulty(model()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"enableNetworkIsolation": False},
        {"enableNetworkIsolation": None},
        {"enableNetworkIsolation": "${other.unknown}"},
        {"vpcConfig": None},
        {"vpcConfig": {"subnets": ["subnet-a"]}},
        {"vpcConfig": {"securityGroupIds": ["sg-1"]}},
        {"primaryContainer": {"image": "vllm:latest"}},
        {"containers": [{"image": "vllm:latest"}]},
    ],
)
def test_a_model_that_may_call_out_or_may_change_is_a_fault(changes: dict[str, Any]) -> None:
    one_fault = model(**changes)
    assert faulty(one_fault) == [one_fault]


def test_captured_content_needs_a_key_and_a_class_that_keeps_content() -> None:
    assert faulty(capturing()) == []
    assert faulty(capturing("internal", enableCapture=False)) == []
    for config in (
        capturing(kmsKeyId=None),
        capturing("internal"),
        capturing("restricted"),
        capturing("unknown"),
    ):
        assert faulty(config) == [config]
