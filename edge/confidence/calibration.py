"""The calibration file of `isthmus calibrate`: how often answers with a given measure were right."""

from __future__ import annotations

import hashlib
import math
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from edge.confidence.measure import Kind

Share = Annotated[float, Field(ge=0, le=1)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
DIGITS = 4
"""Decimals of a score. Thresholds were tested on rounded scores."""
_LEAST, _MOST = -50.0, -1e-9
"""Bounds of the logarithm of a measure, because probabilities of exactly 0 or 1 come from rounding."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Curve(_Part):
    """Beta calibration (Kull, Silva Filho, Flach, 2017): log-odds of being right are a·ln s - b·ln(1 - s) + c."""

    a: Annotated[FiniteFloat, Field(ge=0)]
    b: Annotated[FiniteFloat, Field(ge=0)]
    c: FiniteFloat
    highest: Annotated[FiniteFloat, Field(le=0)]
    """Logarithm of the highest judged measure. Higher measures count as this one."""

    def score(self, log_measure: float) -> float:
        """Share of right answers with this measure, 0 to 1."""
        ln_s, ln_rest = logs(min(log_measure, self.highest))
        odds = self.a * ln_s - self.b * ln_rest + self.c
        share = 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))
        return round(share, DIGITS)


class Error(_Part):
    """The expected calibration error on answers kept aside, with a 95 % interval."""

    value: Share
    low: Share
    high: Share


class Threshold(_Part):
    """The threshold of human review. Of the answers with at least this score, at most `max_error` are wrong."""

    below: Share
    max_error: Share
    confidence: Share
    error_at_most: Share
    """Upper bound of the share of wrong answers, from the answers that were kept aside."""
    accepted: Annotated[int, Field(ge=1)]
    wrong: Annotated[int, Field(ge=0)]


class Calibration(_Part):
    """The content of a calibration file, as JSON."""

    isthmus_calibration: Literal[1]
    version: str
    """Version of the program that wrote the file."""
    as_of: date
    model: Annotated[str, Field(min_length=1)]
    model_digest: Digest | None
    """Digest of the weights' manifest. Null: gateways do not use the file, because weights may change under the
    same name."""
    domain: Annotated[str, Field(min_length=1)]
    kind: Kind
    measure: str
    """`logprobs-1`: the measure of the edge. `given`: scores from another source, which the edge cannot compute."""
    answers_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    answers: Annotated[int, Field(ge=1)]
    kept_aside: Annotated[int, Field(ge=1)]
    curve: Curve
    expected_calibration_error: Error
    threshold: Threshold | None


def logs(log_measure: float) -> tuple[float, float]:
    """ln s and ln(1 - s) of a measure s, which is given as ln s."""
    clamped = min(max(log_measure, _LEAST), _MOST)
    return clamped, math.log(-math.expm1(clamped))


class BadCalibration(ValueError):
    """The file is not a valid calibration. The message gives the reason without the content."""


def read(path: Path) -> tuple[Calibration, str]:
    """The calibration in a file, and the file's digest. Raises BadCalibration."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadCalibration(f"it cannot be read: {error.strerror}") from None
    return parse(raw)


def parse(raw: bytes) -> tuple[Calibration, str]:
    """The calibration in the bytes of a file, and their digest. Raises BadCalibration."""
    try:
        return Calibration.model_validate_json(raw), f"sha256:{hashlib.sha256(raw).hexdigest()}"
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadCalibration(f"it is no calibration: {where}: {first['msg']}") from None
