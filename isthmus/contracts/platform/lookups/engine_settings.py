"""Which fields of an endpoint are settings of the engine, in the order of the contract."""

from __future__ import annotations

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
