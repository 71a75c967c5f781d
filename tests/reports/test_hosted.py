"""A model on SageMaker as rules and reports see it: its boundaries, each found where it is broken; images; words."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from isthmus.blueprints.offers import offers
from isthmus.contracts import images_lock
from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.requirements import document as requirements_document
from isthmus.core import yaml_files
from isthmus.engine.project import project
from isthmus.engine.render import rendering
from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.resources import Graph
from isthmus.planning import planner
from isthmus.reports.images import inventory as images_inventory
from isthmus.reports.stack import summary as stack_summary
from tests.broken_graphs import resources as broken_resources
from tests.broken_graphs.changes import Change
from tests.hosted import HOSTED, OVERRIDES, ROOT
from tests.laying import lay
from tests.policies import holding


@functools.cache
def hosted_stack() -> tuple[list[Resource], Platform]:
    """The example's resources, rendered once from a project of its own."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        file = lay(folder) / "hosted.requirements.yaml"
        shutil.copy(ROOT / "examples" / "hosted.requirements.yaml", file)
        plan = planner.make_plan(requirements_document.load(file), offers(), "2026-11-26").plan
        yaml_files.dump(
            plan.model_dump(by_alias=True, mode="json"), "", folder / "stacks" / "hosted.plan.yaml"
        )
        config = {"isthmus:sandbox": "true", "isthmus:overrides": OVERRIDES}
        yaml_files.dump({"config": config}, "", folder / "stacks" / "Pulumi.hosted.yaml")
        stack = project.find_project(folder).stack("hosted")
        return list(rendering.render(stack).resources), stack.platform()


def altered(kind: str, name: str, how: Change) -> Graph:
    return broken_resources.altered(hosted_stack()[0], kind, name, how)


def test_nothing_breaks_the_boundaries() -> None:
    resources, platform = hosted_stack()
    assert holding.all_of(Graph(resources), platform) == []


@pytest.mark.parametrize(
    ("kind", "name", "how", "message"),
    [
        (":Model", "-model", lambda i: i.update(enableNetworkIsolation=False), "is not isolated"),
        (":Model", "-shadow", lambda i: i.pop("enableNetworkIsolation"), "is not isolated"),
        (":Model", "-model", lambda i: i.pop("vpcConfig"), "stands in no network of ours"),
        (":Model", "-model", lambda i: i["primaryContainer"].update(image="a/b:latest"), "names no digest"),
        (
            ":SecurityGroupEgressRule",
            "-qwen3-8b-s3",
            lambda i: (i.pop("prefixListId"), i.update(cidrIpv4="0.0.0.0/0")),
            "reaches 0.0.0.0/0",
        ),
        (
            ":SecurityGroup",
            "-qwen3-8b-group",
            lambda i: i.update(ingress=[{"cidrBlocks": ["10.0.0.0/8"]}]),
            "lets 10.0.0.0/8 in",
        ),
        (
            ":EndpointConfiguration",
            "-config",
            lambda i: i["dataCaptureConfig"].pop("kmsKeyId"),
            "captures under no key",
        ),
        (
            ":EndpointConfiguration",
            "-config",
            lambda i: i["tags"].update({"isthmus.dev/class": "internal"}),
            "captures prompts and answers of internal work",
        ),
    ],
)
def test_a_model_that_is_not_shut_in_is_found(kind: str, name: str, how: Change, message: str) -> None:
    broken = holding.hosted_models_are_isolated(altered(kind, name, how))
    assert [line for line in broken if message in line], broken


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        ('sagemaker:InvokeEndpoint"', 'sagemaker:InvokeEndpointAsync"', "does not let"),
        ("confidential-frankfurt-identity-role", "other-role", "does not let"),
        (":endpoint/hosted", ":endpoint/other", "does not let"),
    ],
)
def test_a_private_endpoint_that_does_not_name_the_call_is_found(before: str, now: str, message: str) -> None:
    def change(inputs: dict[str, Any]) -> None:
        assert before in inputs["policy"], inputs["policy"]
        inputs["policy"] = inputs["policy"].replace(before, now)

    graph = altered(":VpcEndpoint", "-sagemaker-runtime", change)
    broken = holding.aws_is_called_through_private_endpoints(graph, hosted_stack()[1])
    assert [line for line in broken if message in line and HOSTED in line], broken


def test_a_translator_that_calls_the_public_name_is_found() -> None:
    def change(inputs: dict[str, Any]) -> None:
        text = inputs["data"]["config.yaml"]
        lines = [line for line in text.splitlines() if "endpoint_url" not in line]
        inputs["data"]["config.yaml"] = "\n".join(lines)

    graph = altered(":ConfigMap", "confidential-gateway-translator-config", change)
    broken = holding.aws_is_called_through_private_endpoints(graph, hosted_stack()[1])
    assert [line for line in broken if "the public name" in line], broken


def test_sagemaker_images_are_listed() -> None:
    resources, platform = hosted_stack()
    inventory = images_inventory.list_images(
        resources, images_lock.load(ROOT / "images.lock.yaml"), platform.images
    )
    (image,) = [image for image in inventory.images if image.name == "sagemaker"]
    assert image.target == platform.images.sagemaker
    assert len(image.used_by) == 2, "the served model's and the shadow's"


def test_the_summary_shows_sites_and_machines() -> None:
    (endpoint,) = [endpoint for endpoint in hosted_stack()[1].endpoints if endpoint.id == HOSTED]
    assert stack_summary.describe_place(endpoint) == "frankfurt: Amazon SageMaker, its region"
    assert stack_summary.describe_size(endpoint) == "2 to 6 × ml.g6e.2xlarge"
    fixed = endpoint.model_copy(
        update={
            "sagemaker": endpoint.sagemaker and endpoint.sagemaker.model_copy(update={"autoscaling": None})
        }
    )
    assert stack_summary.describe_size(fixed) == "3 × ml.g6e.2xlarge"
