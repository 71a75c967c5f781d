"""Calibrations and answers for tests of confidence scores."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.confidence.answer_scoring import AnswerScorer, CalibrationChoice
from edge.confidence.calibration import Calibration, Curve
from edge.confidence.measure import MEASURE, Kind
from edge.confidence.tokens import Tokens

DIGEST = "sha256:" + "1" * 64
HALF = math.log(0.5)
PLAIN = Curve(a=1, b=1, c=0, highest=-1e-9)
"""A curve whose score is the measure itself, so that tests know the expected score."""


def calibration(model: str, kind: Kind = "text", **more: Any) -> dict[str, Any]:
    """A calibration as `isthmus calibrate` writes it."""
    return {
        "isthmus_calibration": 1,
        "version": "0.1.0",
        "as_of": "2026-11-26",
        "model": model,
        "model_digest": DIGEST,
        "domain": "payments",
        "kind": kind,
        "measure": MEASURE,
        "answers_sha256": "a" * 64,
        "answers": 1200,
        "kept_aside": 600,
        "curve": PLAIN.model_dump(),
        "expected_calibration_error": {"value": 0.01, "low": 0, "high": 0.04},
        "threshold": None,
        **more,
    }


def written(folder: Path, name: str, *args: Any, **more: Any) -> Path:
    """Write a calibration file."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(calibration(*args, **more)))
    return path


def calibration_choice(kinds: Sequence[Kind] = ("text", "fields")) -> CalibrationChoice:
    """The calibrations of one place, as a gateway selects them."""
    calibration_of: dict[Kind, tuple[Calibration, str]] = {
        kind: (Calibration.model_validate(calibration("m", kind)), f"sha256:{kind}") for kind in kinds
    }
    return CalibrationChoice(calibration_of)


def listening(*, structured: bool = False, keeps: bool = False, **more: Any) -> AnswerScorer:
    return AnswerScorer(calibration_choice(**more), structured=structured, keeps_logprobs=keeps)


def logprobs_of(texts: Sequence[str], logprobs: Sequence[float]) -> dict[str, Any]:
    """Field `logprobs` of a choice."""
    return {
        "content": [
            {"token": text, "logprob": logprob, "bytes": list(text.encode())}
            for text, logprob in zip(texts, logprobs, strict=True)
        ]
    }


def tokens(texts: Sequence[str], logprobs: Sequence[float]) -> Tokens:
    collected = Tokens()
    collected.take(logprobs_of(texts, logprobs))
    return collected


def choice(texts: Sequence[str], logprobs: Sequence[float], **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "".join(texts)}
    return {
        "index": 0,
        "message": message,
        "logprobs": logprobs_of(texts, logprobs),
        "finish_reason": "stop",
        **more,
    }
