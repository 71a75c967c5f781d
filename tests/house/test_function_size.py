"""Product functions stay short enough to read at once, and take few enough parameters to remember."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES, MAX_PARAMETERS = 60, 8
MAX_OPTIONS = 9
"""Parameters of a command: its options, which people give by name."""
PACKAGES = ("isthmus", "components", "policies", "stacks", "sandbox", "edge", "trainer")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, Function]]:
    """Every function of the product, with its `FILE NAME`."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, Function):
                    yield f"{file.relative_to(ROOT)} {node.name}", node


def lines_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters_of(function: Function) -> int:
    """Number of parameters, without `self` and `cls`."""
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def is_too_large(name: str, function: Function) -> bool:
    is_command = name.startswith("isthmus/cli/") and "_commands.py " in name
    most = MAX_OPTIONS if is_command else MAX_PARAMETERS
    return lines_of(function) > MAX_LINES or parameters_of(function) > most


def test_no_function_is_too_long_or_has_too_many_parameters():
    too_large = {
        f"{name}: {lines_of(function)} lines, {parameters_of(function)} parameters"
        for name, function in functions()
        if is_too_large(name, function)
    }
    assert not too_large, sorted(too_large)
