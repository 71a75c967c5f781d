"""Arguments of a model on SageMaker that its component refuses before it makes anything."""

from __future__ import annotations

from typing import Any

import pytest

from components import SageMakerEndpoint
from isthmus.contracts.reference.handling import handling_of
from isthmus.core.errors import Refused
from tests.components.conftest import Engine
from tests.components.test_sagemaker_endpoint import GIVEN


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
