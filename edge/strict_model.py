"""A part of a configuration file, whoever reads it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=253)]


class Strict(BaseModel):
    """A part of the file: an unknown key is an error, a value is never converted."""

    model_config = ConfigDict(extra="forbid", frozen=True)
