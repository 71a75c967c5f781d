"""The resource types of the Kubernetes and AWS SDKs, read from their source without importing it."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

_TOKEN = re.compile(r"super\(\w+, __self__\)\.__init__\(\s*'(\w+:[^']+)'")


@functools.cache
def resource_types(sdk: str) -> tuple[str, ...]:
    """The types of `pulumi_kubernetes` or `pulumi_aws`, without providers."""
    spec = importlib.util.find_spec(sdk)
    assert spec is not None
    assert spec.origin is not None
    files = Path(spec.origin).parent.rglob("*.py")
    return tuple(sorted({token for file in files for token in _TOKEN.findall(file.read_text("utf-8"))}))
