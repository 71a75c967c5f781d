"""Settings `model_probes`: the question that a gateway asks each of its models in turn."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from edge.strict_model import Strict


class ModelProbes(Strict):
    """How often a gateway asks each model, and how long it waits. `probed` of a place says which models."""

    interval_s: Annotated[float, Field(ge=0.5, le=3600)] = 60
    """Seconds between two questions to one model. A model that has answered a caller in this time is not asked."""
    timeout_s: Annotated[float, Field(ge=0.1, le=300)] = 10
    """Longest time for the answer, in seconds."""

    @model_validator(mode="after")
    def _answered_before_the_next(self) -> ModelProbes:
        if self.timeout_s > self.interval_s:
            raise ValueError(
                f"timeout_s {self.timeout_s:g} is above interval_s {self.interval_s:g}, so probes would overlap."
                f" Set timeout_s to {self.interval_s:g} or less"
            )
        return self
