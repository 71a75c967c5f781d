"""The engine's messages to a policy pack, without the rest of Pulumi's SDK.

A preview waits until its packs have started. The SDK brings OpenTelemetry, asyncio and the Automation API, which is
more than half of the pack's start, and none of which a pack speaks.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulumi.runtime.proto import analyzer_pb2, plugin_pb2

__all__ = ["analyzer_pb2", "plugin_pb2"]
_ABOVE = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


def _load() -> None:
    """Import the two modules; packages above them that nobody has imported stand in hollow meanwhile."""
    found = importlib.util.find_spec("pulumi")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("pulumi is not installed beside the pack", name="pulumi")
    root = Path(next(iter(found.submodule_search_locations)))
    hollow = [name for name in _ABOVE if name not in sys.modules]
    for name in hollow:
        module = ModuleType(name)
        module.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module
    try:
        for name in __all__:
            globals()[name] = importlib.import_module(f"{_ABOVE[-1]}.{name}")
    finally:
        # Whoever asks for the SDK later gets it whole.
        for name in hollow:
            sys.modules.pop(name, None)


_load()
