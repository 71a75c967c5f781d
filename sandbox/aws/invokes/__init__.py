"""The provider's functions (`aws.get…`), which read from AWS and create nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.aws.calls import Api, CallRefused
from sandbox.aws.invokes import general, models, network
from sandbox.aws.schema import suggest_nearest

Invoke = Callable[[Api, Mapping[str, Any]], dict[str, Any]]

INVOKES: dict[str, Invoke] = {**general.INVOKES, **models.INVOKES, **network.INVOKES}


def invoke(api: Api, token: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Call the function `token` and return its result. Raises `CallRefused` if the function is unknown."""
    if token not in INVOKES:
        raise CallRefused(
            f"the sandbox's AWS provider has no function {token}.{suggest_nearest(token, INVOKES)} "
            f"Its functions are {', '.join(INVOKES)}. To add one, see sandbox/aws/invokes"
        )
    return INVOKES[token](api, args)
