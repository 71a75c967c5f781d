"""Marks the fields of an endpoint that the components which run vLLM take as they are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineSetting:
    """Every component that runs vLLM takes the field as an argument of the same name.

    `python -m scripts.component_reference` writes the argument's type and docstring from the field.
    """


@dataclass(frozen=True)
class VllmFlag(EngineSetting):
    """vLLM gets the field as a flag of the same name: `max_num_seqs: 64` becomes `--max-num-seqs=64`.

    `true` becomes `--NAME` and `false` `--no-NAME`. A release of a model may change the field.
    """
