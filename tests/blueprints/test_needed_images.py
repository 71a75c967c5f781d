"""Images that a merged platform runs."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.blueprints.image_digests import needed_images

IDENTITY = {"name": "internal", "assumed_by": "ecs-tasks"}


@pytest.mark.parametrize(
    "platform",
    [
        {"identities": [IDENTITY]},
        {"endpoints": [{"target": "eks-vllm", "weights": {"uri": "s3://models/llama"}}]},
        {"gateways": [{"class": "restricted", "audit": {"secret": "audit"}}]},
    ],
)
def test_identities_weights_in_s3_and_audit_records_each_need_the_translator(
    platform: dict[str, Any],
) -> None:
    assert "translator" in needed_images(platform)


def test_a_platform_without_any_of_them_needs_no_translator() -> None:
    platform = {
        "endpoints": [{"target": "onprem-vllm", "weights": {"uri": "pvc://llama"}}],
        "gateways": [{"class": "restricted"}],
    }
    assert "translator" not in needed_images(platform)
    hosted = {"endpoints": [{"target": "sagemaker", "weights": {"uri": "s3://models/llama"}}]}
    assert "translator" not in needed_images(hosted), "SageMaker fetches its weights itself"


def test_only_identities_with_a_certificate_need_the_credential_helper() -> None:
    assert "credential_helper" not in needed_images({"identities": [IDENTITY]})
    assert "credential_helper" in needed_images({"identities": [{"name": "internal"}]})


def test_a_platform_without_endpoints_or_with_one_on_gpus_needs_vllm() -> None:
    def images(*endpoints: dict[str, Any]) -> set[str]:
        return {"vllm", "vllm_cpu"} & set(needed_images({"endpoints": list(endpoints)}))

    assert images() == {"vllm"}
    assert images({"engine": "gpu"}) == {"vllm"}
    assert images({"engine": "cpu"}) == {"vllm_cpu"}
    assert images({"engine": "cpu"}, {"target": "eks-vllm"}) == {"vllm", "vllm_cpu"}
    assert images({"target": "bedrock"}) == set()
