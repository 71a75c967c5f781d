"""What the whole platform states of itself in the engine: policies judge the resources by it.

A pack sees resources and nothing of the program's files: whose addresses are whose, which site is in which
jurisdiction and which class a network carries stand in no resource. The component bears them as an input.
"""

from typing import Any

from isthmus.contracts.platform import Platform


def inputs(platform: Platform) -> dict[str, Any]:
    """Plain data; the contract names secrets and holds none."""
    # What nobody set is left out: some defaults may not be stated beside others.
    contract = platform.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {"platform": platform.name, "contract": contract}
