"""`workloads[].confidence`: by which calibrations a workload's answers get a score."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.config.base import File, Name, Strict


class Confidence(Strict):
    """Each answer gets a score, or says that it has none."""

    domain: Name
    """Of the workload's questions: a calibration of another is not used."""
    calibrations: list[File] = []
    """Files of `isthmus calibrate`, one for each model's weights and kind of answer. Without any there is no score."""
    digests: list[Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]] | None = None
    """Of the files: a file of another digest ends the start. Absent: files are taken as they are."""
