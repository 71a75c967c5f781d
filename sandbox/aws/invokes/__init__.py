"""The provider's functions: what a program asks about AWS without making anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.aws.calls import Api, CallRefused
from sandbox.aws.invokes import general, models, network
from sandbox.aws.schema import nearest

Invoke = Callable[[Api, Mapping[str, Any]], dict[str, Any]]

INVOKES: dict[str, Invoke] = {**general.INVOKES, **models.INVOKES, **network.INVOKES}


def invoke(api: Api, token: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Raises `CallRefused` for an unknown function, naming those that there are."""
    if token not in INVOKES:
        raise CallRefused(
            f"the sandbox's AWS provider has no function {token}.{nearest(token, INVOKES)} "
            f"It has {', '.join(INVOKES)}; they are in sandbox/aws/invokes"
        )
    return INVOKES[token](api, args)
