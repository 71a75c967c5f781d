"""The inputs of the whole platform's component: its name, and what policies must know of it."""

from typing import Any

from isthmus.contracts.platform import policy_view
from isthmus.contracts.platform.model.platform import Platform


def inputs(platform: Platform) -> dict[str, Any]:
    """As `policies` find them among the resources of a preview."""
    return {"platform": platform.name, "contract": policy_view.describe(platform)}
