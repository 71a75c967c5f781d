"""Product functions stay short enough to read at once, and take few enough parameters to remember."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES, MAX_PARAMETERS = 60, 8
PACKAGES = ("isthmus", "components", "policies", "stacks", "sandbox", "edge")
EXCEPTIONS = frozenset(
    {
        "components/cluster/admission.py _pod_policy",
        "components/governance/emergency_access.py binding_policy",
        "components/pools/gpu_pool.py __init__",
        "components/sites/aws.py _endpoints",
        "components/sites/namespaces.py namespace_args",
    }
)
"""Functions above the limits, as `FILE NAME`. Remove an entry when its function is short. Add none."""

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


def is_too_large(function: Function) -> bool:
    return lines_of(function) > MAX_LINES or parameters_of(function) > MAX_PARAMETERS


def test_no_function_is_too_long_or_has_too_many_parameters():
    too_large = {
        f"{name}: {lines_of(function)} lines, {parameters_of(function)} parameters"
        for name, function in functions()
        if is_too_large(function) and name not in EXCEPTIONS
    }
    assert not too_large, sorted(too_large)


def test_the_list_of_exceptions_holds_only_functions_that_are_too_large():
    too_large = {name for name, function in functions() if is_too_large(function)}
    assert too_large >= EXCEPTIONS, f"remove from the list: {sorted(EXCEPTIONS - too_large)}"


def test_only_components_have_exceptions():
    assert {name.split("/")[0] for name in EXCEPTIONS} <= {"components"}
