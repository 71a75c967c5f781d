"""Groups the AWS resources of a state by the account and region of their provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from isthmus.engine.project.aws_account import Aws
from isthmus.graph.resources import state as graph_state
from isthmus.graph.resources.state import Stated


def by_account(
    state: Mapping[str, Any], type_: str, stack: str, purpose: str, account: Callable[..., Aws]
) -> list[tuple[Aws, list[Stated]]]:
    """Each account of a state with its resources of a type. `account` makes it of a provider's inputs."""
    by_provider: dict[str, list[Stated]] = {}
    for resource in graph_state.from_state_with_ids({"deployment": state}) if state.get("resources") else []:
        if resource.type == type_ and resource.made:
            by_provider.setdefault(resource.provider or "", []).append(resource)
    providers = {
        str(resource["urn"]): resource.get("inputs") or {}
        for resource in state.get("resources") or []
        if resource["type"] == "pulumi:providers:aws"
    }
    return [
        (account(providers[urn], stack, purpose=purpose), resources)
        for urn, resources in sorted(by_provider.items())
        if urn in providers
    ]
