"""Rule for `engine_args`: no argument of vLLM lets confidential or restricted data out of the pod."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.contracts.reference import engine_flags
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


def engine_flags_keep_the_data(platform: Platform) -> None:
    """Model servers of confidential and restricted work have no flag that runs code, logs prompts or sends data."""
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.class_ not in engine_flags.LEAKING_FOR:
            continue
        for judged in engine_flags.judge_arguments(endpoint.engine_args):
            if judged.effect == "leaks":
                raise FieldError(
                    f"`{judged.flag}` {judged.reason}: {endpoint.class_} data could leave endpoint {endpoint.id}",
                    *("endpoints", index, "engine_args", judged.index),
                    fix=f"Remove it; no organisation can allow it for class {endpoint.class_}",
                    refused=True,
                )


CHECKS: tuple[Callable[[Platform], None], ...] = (engine_flags_keep_the_data,)
