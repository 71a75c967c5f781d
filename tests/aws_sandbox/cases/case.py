"""What a case is, and what cases share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.aws_sandbox.driver import World

Inputs = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What all tests of a type are made from.

    `make` sets up what the resource needs and returns its inputs; `change` a change in place, `replace` one
    that forces a replacement (None where there is none); `behind` changes it by another hand and names the
    property that drifted (or `""` when the resource is then gone); `left` says whether AWS still has it.
    `stays`: deleting it lets go of it and leaves it where it is.
    """

    make: Callable[[World], Inputs]
    change: Callable[[World, Inputs], Inputs] | None
    replace: Callable[[World, Inputs], Inputs] | None
    behind: Callable[[World, Inputs], str]
    left: Callable[[World, Inputs], bool]
    stays: bool = False


def found(call: Callable[[], Any]) -> Any:
    """The answer, or None where AWS says that there is none."""
    from botocore.exceptions import ClientError

    with contextlib.suppress(ClientError):
        return call()
    return None


def changed(**changes: Any) -> Callable[[World, Inputs], Inputs]:
    """The inputs with these changes."""
    return lambda world, inputs: {**inputs, **changes}
