"""Runs an organisation's own `stacks/own.py`: what it adds beside the platform."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.core.errors import InputError

if TYPE_CHECKING:
    import pulumi

    from components import LlmPlatform

FILE = "own.py"
FUNCTION = "add"


def add(
    folder: Path, stack: str, built: LlmPlatform, providers: Mapping[str, pulumi.ProviderResource]
) -> None:
    """Call `add(built, providers, stack)` of the folder's `own.py`, if there is one.

    `providers`: by site's name; for the cluster of an AWS site by `SITE/kubernetes`. Raises `InputError` if the file
    has no such function. What the function raises itself passes through, with its traceback.
    """
    file = folder / FILE
    if not file.is_file():
        return
    spec = importlib.util.spec_from_file_location("isthmus_own_resources", file)
    if spec is None or spec.loader is None:
        raise InputError("the file cannot be loaded as a Python module", where=f"{folder.name}/{FILE}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, FUNCTION, None)
    if not callable(function):
        raise InputError(
            f"the file has no function `{FUNCTION}`",
            where=f"{folder.name}/{FILE}",
            fix=f"Write `def {FUNCTION}(built, providers, stack):`, as docs/stacks.md shows",
        )
    function(built, providers, stack)
