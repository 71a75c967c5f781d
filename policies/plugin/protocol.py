"""Imports the engine's messages for policy packs without the rest of Pulumi's SDK.

A preview waits until its packs have started. The SDK also imports OpenTelemetry, asyncio and the Automation API, which
a pack does not use and which take more than half of its start.
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
_PARENT_PACKAGES = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


def _load() -> None:
    """Imports the two modules. Empty modules stand in for their parent packages meanwhile."""
    spec = importlib.util.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "pulumi is not installed in the environment of the policy pack", name="pulumi"
        )
    root = Path(next(iter(spec.submodule_search_locations)))
    stubs = [name for name in _PARENT_PACKAGES if name not in sys.modules]
    for name in stubs:
        module = ModuleType(name)
        module.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module
    try:
        for name in __all__:
            globals()[name] = importlib.import_module(f"{_PARENT_PACKAGES[-1]}.{name}")
    finally:
        # A later import gets the real SDK.
        for name in stubs:
            sys.modules.pop(name, None)


_load()
