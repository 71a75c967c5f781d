"""The inputs of the whole platform's component: its name, and what policies must know of it."""

from typing import Any

from isthmus.contracts import platform_stated
from isthmus.contracts.platform import Platform


def inputs(platform: Platform) -> dict[str, Any]:
    """As `policies` find them among the resources of a preview."""
    return {"platform": platform.name, "contract": platform_stated.stated(platform)}
