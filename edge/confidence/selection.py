"""Which calibrations a workload's answers are scored by, at each place that may give them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge.confidence.answer_scoring import Chosen, Listening
from edge.confidence.calibration import BadCalibration, Calibration, read
from edge.confidence.measure import MEASURE, Kind
from edge.config import ConfigError, GatewayConfig, Place
from edge.journal import write_line
from edge.openai_api import CHAT_PATH

if TYPE_CHECKING:
    from edge.request_context import Errand

STEERING = ("logit_bias", "presence_penalty", "frequency_penalty")
"""By which a caller bends probabilities away from those that were judged, towards a score of his liking."""


class Scores:
    """A gateway's, read once when it starts."""

    def __init__(self, config: GatewayConfig) -> None:
        """Raises ConfigError where a named file is none. One of other weights is no error: they change under it."""
        self._stated = {each.name: each.confidence for each in config.workloads if each.confidence}
        self._files = {
            name: _read(name, stated.calibrations, stated.digests) for name, stated in self._stated.items()
        }
        for route in config.routes:
            for place in route.places if route.workload in self._stated else []:
                if not self._fitting(route.workload, place):
                    write_line(
                        "unscored", workload=route.workload, model=place.model, server=place.server_name
                    )

    def asks(self, errand: Errand, place: Place) -> bool:
        """Whether the place is to be asked for log-probabilities that the caller did not ask for."""
        asked, workload = errand.asked, errand.caller.workload
        if workload not in self._stated or "top_logprobs" in asked or asked.get("logprobs"):
            return False
        return bool(self._chosen(errand, place).by_kind)

    def listening(self, errand: Errand, place: Place) -> Listening | None:
        """Who scores the answer of a place; None where the workload wants no score."""
        asked, workload = errand.asked, errand.caller.workload
        if workload not in self._stated or errand.task.holds != "choices":
            return None
        wanted = asked.get("response_format", {}).get("type", "text")
        keeps = asked.get("logprobs") not in (None, False)
        return Listening(self._chosen(errand, place), structured=wanted != "text", keeps=keeps)

    def _chosen(self, errand: Errand, place: Place) -> Chosen:
        workload = errand.caller.workload
        if errand.task.path != CHAT_PATH:  # another shape of log-probabilities, and answers of another kind
            return Chosen({})
        if any(errand.asked.get(field) for field in STEERING):
            return Chosen({}, "steered")
        return Chosen(self._fitting(workload, place))

    def _fitting(self, workload: str, place: Place) -> dict[Kind, tuple[Calibration, str]]:
        stated = self._stated[workload]
        return {
            calibration.kind: (calibration, digest)
            for calibration, digest in self._files[workload]
            if calibration.model == place.model
            and calibration.model_digest == place.model_digest is not None
            and calibration.domain == stated.domain
            and calibration.measure == MEASURE
        }


def _read(workload: str, paths: list[Path], digests: list[str] | None) -> list[tuple[Calibration, str]]:
    """Raises ConfigError."""
    found: dict[tuple[str, ...], tuple[Calibration, str]] = {}
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
        if key in found:
            raise ConfigError(f"{where}: another file calibrates the same model's answers. Name one of them.")
        found[key] = (calibration, digest)
    return list(found.values())
