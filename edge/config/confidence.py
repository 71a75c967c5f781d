"""`workloads[].confidence`: by which calibrations a workload's answers get a score."""

from __future__ import annotations

from edge.config.base import File, Name, Strict


class Confidence(Strict):
    """Each answer gets a score, or says that it has none."""

    domain: Name
    """Of the workload's questions: a calibration of another is not used."""
    calibrations: list[File] = []
    """Files of `isthmus calibrate`, one for each model's weights and kind of answer. Without any there is no score."""
