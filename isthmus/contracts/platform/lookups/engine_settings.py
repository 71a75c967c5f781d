"""Which fields of an endpoint are settings of the engine, in the order of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.contracts.platform.model.engine_settings import EngineSetting, VllmFlag
from isthmus.contracts.platform.model.platform import Endpoint


def _marked(marker: type[EngineSetting]) -> tuple[str, ...]:
    return tuple(
        name
        for name, field in Endpoint.model_fields.items()
        if any(isinstance(metadata, marker) for metadata in field.metadata)
    )


ENGINE_SETTINGS = _marked(EngineSetting)
"""Fields that the components which run vLLM take as arguments of the same name."""
VLLM_FLAGS = _marked(VllmFlag)
"""Those that vLLM gets as flags of the same name."""


def vllm_flags(settings: Mapping[str, Any]) -> list[str]:
    """The flags of `vllm serve` for the settings that have a value."""
    flags: list[str] = []
    for name in VLLM_FLAGS:
        flag, value = name.replace("_", "-"), settings.get(name)
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            flags.append(f"--{flag}={value}")
    return flags
