"""Calibration files that a merged platform names: their text, and the domain that they must have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isthmus.blueprints import calibrations
from isthmus.core.errors import InputError

DIGEST = "sha256:" + "a" * 64
CALIBRATION = {"isthmus_calibration": 1, "domain": "onboarding", "model_digest": DIGEST}


def fill(folder: Path, content: str, domain: str = "onboarding") -> Any:
    """The one calibration of a platform, with its text."""
    (folder / "llama.json").write_text(content)
    workload = {"name": "kyc", "review": {"domain": domain}, "calibrations": [{"file": "llama.json"}]}
    merged = {"gateways": [{"name": "gw", "workloads": [workload]}]}
    filled = calibrations.fill(merged, folder, "Pulumi.yaml")
    return filled["gateways"][0]["workloads"][0]["calibrations"][0]


def test_a_calibration_of_the_workloads_domain_is_read_unchanged(tmp_path: Path) -> None:
    text = json.dumps(CALIBRATION) + "\n"
    assert fill(tmp_path, text) == {"file": "llama.json", "text": text}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**CALIBRATION, "domain": "payments"}, "was calibrated in domain 'payments', but"),
        ({**CALIBRATION, "isthmus_calibration": 2}, "is not a calibration file"),
        ({"domain": "onboarding", "model_digest": DIGEST}, "is not a calibration file"),
        ([CALIBRATION], "is not a calibration file"),
        ({**CALIBRATION, "model_digest": None}, "has no `model_digest`"),
    ],
)
def test_a_calibration_that_no_gateway_would_use_is_refused(
    tmp_path: Path, content: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fill(tmp_path, json.dumps(content))


def test_a_file_that_is_no_json_is_not_a_calibration(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a calibration file"):
        fill(tmp_path, "{")
