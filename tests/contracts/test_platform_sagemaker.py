"""SageMaker endpoints: what is refused before any call to AWS."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from isthmus.contracts.platform.model.aws.sagemaker import (
    SageMaker,
    has_disks,
    peak_instances,
)
from isthmus.core.errors import InputError, Refused
from tests.contracts.test_platform_model import parse, refused
from tests.hosted import DIGESTS, HOSTED, endpoint, platform

Change = Callable[[dict[str, Any]], object]


message_of = functools.partial(refused, make_data=platform)


def changed(**values: Any) -> Change:
    """Other values of the endpoint itself."""
    return lambda data: endpoint(data).update(values)


def with_settings(part: str | None = None, **values: Any) -> Change:
    """Other settings of SageMaker, or of a part of them."""

    def change(data: dict[str, Any]) -> None:
        settings = endpoint(data)["sagemaker"]
        (settings.setdefault(part, {}) if part else settings).update(values)

    return change


def reclassed(sensitivity: str) -> Change:
    """The endpoint's work is of another class, with all that bears it."""

    def change(data: dict[str, Any]) -> None:
        endpoint(data)["class"] = sensitivity
        for part in ("gateways", "identities"):
            for section in data[part]:
                if section["class"] == "confidential":
                    section["class"] = sensitivity
        for part in ("networks", "links"):
            data[part][0]["classes"] = [sensitivity]
        data["budgets"] = []

    return change


def test_the_example_platform_is_valid():
    checked = parse(platform())
    hosted = next(endpoint for endpoint in checked.endpoints if endpoint.id == HOSTED)
    assert hosted.sagemaker is not None
    assert (hosted.target, hosted.replicas, hosted.survive) == ("sagemaker", 3, "replica")
    assert checked.identities[0].guardrail is None, "a guardrail filters calls of Bedrock only"
    assert checked.networks[0].services == ["rolesanywhere", "sagemaker.runtime", "s3"]
    assert checked.invocation_logging == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda data: endpoint(data).pop("sagemaker"),
            "endpoint confidential-qwen3-8b has no `sagemaker` settings",
        ),
        (lambda data: endpoint(data).pop("weights"), "endpoint confidential-qwen3-8b has no weights in S3"),
        (
            changed(weights={"uri": "pvc://qwen", "digest": DIGESTS[0]}),
            "endpoint confidential-qwen3-8b has no weights in S3",
        ),
        (
            changed(weights={"uri": "s3://weights/qwen", "digest": DIGESTS[0]}),
            "endpoint confidential-qwen3-8b has no weights in S3",
        ),
        (
            changed(pool="cologne-l40s-48gb"),
            "endpoint confidential-qwen3-8b runs on SageMaker, which does not",
        ),
        (
            changed(nodes_per_replica=2, tensor_parallel=1),
            "nodes_per_replica of confidential-qwen3-8b is 2, but SageMaker runs a",
        ),
        (
            changed(adapters=[{"name": "a", "rank": 8, "size_mib": 1}]),
            "endpoint confidential-qwen3-8b has adapters, which Isthmus does not",
        ),
        (changed(surge=True), "endpoint confidential-qwen3-8b runs on SageMaker, which does not"),
        (changed(region="eu-west-1"), "endpoint confidential-qwen3-8b is in eu-west-1, but its site"),
        (changed(load_timeout_s=3601), "load_timeout_s is 3601, but SageMaker waits at most 3600 s"),
        (
            lambda data: data["images"].pop("sagemaker"),
            "`images` has no sagemaker, which endpoint confidential-qwen3-8b needs",
        ),
        (
            lambda data: data["images"].update(
                sagemaker=data["images"]["sagemaker"].replace("eu-central-1", "us-east-1")
            ),
            "is not in eu-central-1",
        ),
        (changed(replicas=1), "endpoint confidential-qwen3-8b must survive the loss of a replica,"),
        (
            with_settings("autoscaling", min_instances=1),
            "endpoint confidential-qwen3-8b must survive the loss of a replica,",
        ),
        (with_settings("autoscaling", max_instances=2), "keeps it between 2 and 2"),
        (
            with_settings("key", mode="existing"),
            "endpoint confidential-qwen3-8b: key.mode is existing, but `arn` is",
        ),
        (
            with_settings(volume_gib=100),
            "instance type ml.g6e.2xlarge has local disks, so AWS does not accept",
        ),
        (
            with_settings("rollout", wait_s=60),
            "endpoint confidential-qwen3-8b: wait_s is 60 s, but its alarms need",
        ),
        (with_settings("rollout", kind="all-at-once", keep_old_s=0), "keep_old_s"),
        (
            lambda data: data["endpoints"][0]["weights"].update(uri="s3://weights/llama/"),
            "the weights uri of restricted-llama-3-1-8b ends in a slash",
        ),
        (
            lambda data: data["endpoints"][0].update(sagemaker={"instance_type": "ml.g6e.2xlarge"}),
            "endpoint restricted-llama-3-1-8b runs on onprem-vllm, but has",
        ),
    ],
)
def test_an_impossible_setting_is_refused_with_its_reason(change: Change, message: str):
    assert message in message_of(InputError, change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            with_settings("key", mode="off"),
            "endpoint confidential-qwen3-8b would store confidential work without",
        ),
        (
            with_settings("capture", days=31),
            "endpoint confidential-qwen3-8b: capture.days is 31, but confidential",
        ),
        (lambda data: data["networks"][0].update(classes=["internal"]), "no network there carries it"),
        (lambda data: data["networks"][0]["services"].remove("s3"), "no private endpoint for s3"),
        (
            lambda data: data["networks"][0]["services"].remove("sagemaker.runtime"),
            "no private endpoint for sagemaker.runtime",
        ),
        (
            lambda data: data.update(trails=[]),
            "the account of site frankfurt has no active trail, but work above",
        ),
    ],
)
def test_a_setting_that_breaks_a_boundary_is_refused(change: Change, message: str):
    assert message in message_of(Refused, change)


def test_a_public_sagemaker_endpoint_needs_a_network_too():
    def elsewhere(data: dict[str, Any]) -> None:
        reclassed("public")(data)
        del endpoint(data)["sagemaker"]["capture"]
        data["networks"][0]["classes"], data["links"] = ["internal"], []

    assert "no network at frankfurt carries class public, which endpoint" in message_of(Refused, elsewhere)


def test_restricted_work_never_runs_on_sagemaker():
    assert "restricted work may not run on sagemaker" in message_of(
        Refused, lambda d: endpoint(d).update({"class": "restricted"})
    )


def test_data_capture_is_refused_for_a_class_that_keeps_no_content():
    message = message_of(Refused, reclassed("internal"))
    assert "capture would keep prompts and answers of internal work" in message

    def without(data: dict[str, Any]) -> None:
        reclassed("internal")(data)
        del endpoint(data)["sagemaker"]["capture"]

    data = platform()
    without(data)
    parse(data)


def test_internal_work_needs_no_customer_managed_key():
    data = platform()
    reclassed("internal")(data)
    del endpoint(data)["sagemaker"]["capture"]
    endpoint(data)["sagemaker"]["key"] = {"mode": "off"}
    parse(data)


def test_an_identity_with_a_guardrail_that_filters_nothing_is_refused():
    def guard(data: dict[str, Any]) -> None:
        data["guardrails"] = [{"name": "g", "site": "frankfurt", "class": "confidential"}]
        data["identities"][0]["guardrail"] = "g"

    assert "identity confidential-frankfurt has a Bedrock guardrail but calls no" in message_of(
        Refused, guard
    )


@pytest.mark.parametrize(
    ("kind", "disks"),
    [
        *(("ml.g4dn.xlarge", True), ("ml.g5.12xlarge", True), ("ml.g6e.2xlarge", True)),
        *(("ml.p4d.24xlarge", True), ("ml.p5en.48xlarge", True), ("ml.p6-b200.48xlarge", True)),
        *(("ml.m5d.large", True), ("ml.p3.2xlarge", False), ("ml.m5.large", False), ("ml.c6gn.large", False)),
    ],
)
def test_instance_types_with_local_disks_take_no_volume_key(kind: str, disks: bool):
    assert has_disks(kind) is disks


def test_a_rollout_needs_twice_the_instances_plus_the_shadow_variants():
    settings = SageMaker.model_validate(endpoint(platform())["sagemaker"])
    assert peak_instances(3, settings) == {"ml.g6e.2xlarge": 2 * 6 + 2}
