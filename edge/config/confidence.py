"""Settings `workloads[].confidence`: the calibrations that score a workload's answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.config.base import File, Name, Strict


class Confidence(Strict):
    """Gives each answer a score, or states that it has none."""

    domain: Name
    """Domain of the workload's questions. Calibrations of other domains are not used."""
    calibrations: list[File] = []
    """Files of `isthmus calibrate`, one a model's weights and kind of answer. Without files there is no score."""
    digests: list[Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]] | None = None
    """Digests of the files. A file with another digest stops the start. Absent: digests are not checked."""
