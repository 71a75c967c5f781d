"""Selects the calibrations for a workload's answers from each place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.confidence.answer_scoring import AnswerScorer, CalibrationChoice
from edge.confidence.calibration import BadCalibration, Calibration, read
from edge.confidence.measure import MEASURE, Kind
from edge.config import ConfigError, GatewayConfig, Place
from edge.journal import write_line
from edge.openai_api import CHAT_PATH
from edge.tasks import Task

STEERING = ("logit_bias", "presence_penalty", "frequency_penalty")
"""Fields that change token probabilities, so that the calibration no longer applies."""


class Scorers:
    """The calibrations of a gateway, read at start."""

    def __init__(self, config: GatewayConfig) -> None:
        """Raises ConfigError if a file is invalid. A file for other weights is allowed, because weights change."""
        self._settings = {
            workload.name: workload.confidence for workload in config.workloads if workload.confidence
        }
        self._below = {
            workload.name: workload.review.below_confidence
            for workload in config.workloads
            if workload.review
        }
        self._files = {
            name: _read_calibrations(name, settings.calibrations, settings.digests)
            for name, settings in self._settings.items()
        }
        for route in config.routes:
            for place in route.places if route.workload in self._settings else []:
                if not self._matching(route.workload, place):
                    write_line(
                        "unscored", workload=route.workload, model=place.model, server=place.server_name
                    )

    def needs_logprobs(self, workload: str, task: Task, request: dict[str, Any], place: Place) -> bool:
        """Whether the gateway must request log-probabilities that the caller did not ask for."""
        if workload not in self._settings or "top_logprobs" in request or request.get("logprobs"):
            return False
        return bool(self._choose(workload, task.sent_to, request, place).by_kind)

    def scorer(self, workload: str, task: Task, request: dict[str, Any], place: Place) -> AnswerScorer | None:
        """The scorer of an answer from a place. None if the workload wants no score."""
        if workload not in self._settings or task.holds != "choices":
            return None
        response_format = request.get("response_format", {}).get("type", "text")
        keeps_logprobs = request.get("logprobs") not in (None, False)
        return AnswerScorer(
            self._choose(workload, task.sent_to, request, place),
            structured=response_format != "text",
            keeps_logprobs=keeps_logprobs,
            below=self._below.get(workload),
        )

    def _choose(self, workload: str, path: str, request: dict[str, Any], place: Place) -> CalibrationChoice:
        if path != CHAT_PATH:  # another shape of log-probabilities, and answers of another kind
            return CalibrationChoice({})
        if any(request.get(field) for field in STEERING):
            return CalibrationChoice({}, "steered")
        return CalibrationChoice(self._matching(workload, place))

    def _matching(self, workload: str, place: Place) -> dict[Kind, tuple[Calibration, str]]:
        settings = self._settings[workload]
        return {
            calibration.kind: (calibration, digest)
            for calibration, digest in self._files[workload]
            if calibration.model == place.model
            and calibration.model_digest == place.model_digest is not None
            and calibration.domain == settings.domain
            and calibration.measure == MEASURE
        }


def _read_calibrations(
    workload: str, paths: list[Path], digests: list[str] | None
) -> list[tuple[Calibration, str]]:
    """Raises ConfigError."""
    calibrations: dict[tuple[str, ...], tuple[Calibration, str]] = {}
    for path in paths:
        where = f"workloads: confidence of {workload!r}: {path}"
        try:
            calibration, digest = read(path)
        except BadCalibration as error:
            raise ConfigError(f"{where}: {error}. Make it anew with `isthmus calibrate`.") from None
        if digests is not None and digest not in digests:
            raise ConfigError(
                f"{where}: its digest is {digest}, and digests names {', '.join(digests) or 'none'}."
                " Put the file back, or state its digest."
            )
        key = (calibration.model, str(calibration.model_digest), calibration.domain, calibration.kind)
        if key in calibrations:
            raise ConfigError(f"{where}: another file calibrates the same model's answers. Name one of them.")
        calibrations[key] = (calibration, digest)
    return list(calibrations.values())
