"""The base class of all configuration models of the edge."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=253)]


class Strict(BaseModel):
    """A part of a configuration file. Unknown keys are errors, and values are never converted."""

    model_config = ConfigDict(extra="forbid", frozen=True)
