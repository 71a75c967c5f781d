"""Arguments of a model on SageMaker that its component refuses before it makes anything."""

from __future__ import annotations

from typing import Any

import pytest

from components import SageMakerEndpoint
from isthmus.contracts.reference.handling import handling_of
from isthmus.core.errors import Refused
from tests.components.conftest import Engine
from tests.components.test_sagemaker_endpoint import GIVEN, SHADOW


def make(engine: Engine, sensitivity: str, days: int) -> None:
    capture: Any = {"sampling_pct": 10, "days": days}
    engine.deploy(SageMakerEndpoint, "bank-qwen", {**GIVEN, "sensitivity": sensitivity, "capture": capture})


def test_captured_content_is_kept_for_at_most_the_days_that_its_class_allows(engine: Engine) -> None:
    most = handling_of("confidential").content_days_max
    assert most is not None
    make(engine, "confidential", most)
    for days in (0, most + 1):
        with pytest.raises(Refused, match="prompts and answers of confidential work would be kept"):
            make(engine, "confidential", days)


def test_disks_are_encrypted_by_key_unless_the_machine_or_the_shadow_has_disks_of_its_own(
    engine: Engine,
) -> None:
    def has_key(kind: str, shadow: str | None = None) -> bool:
        more: dict[str, Any] = {"instance_type": kind}
        if shadow is not None:
            more["shadow"] = {**SHADOW, "instance_type": shadow}
        engine.made.clear()
        engine.deploy(SageMakerEndpoint, "bank-qwen", {**GIVEN, **more})
        return "kmsKeyArn" in engine.only("EndpointConfiguration").inputs

    network_disks, own_disks = "ml.inf2.xlarge", "ml.g6e.2xlarge"
    assert has_key(network_disks)
    assert has_key(network_disks, network_disks)
    assert not has_key(own_disks)
    assert not has_key(network_disks, own_disks)
