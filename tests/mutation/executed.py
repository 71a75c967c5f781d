"""A pytest plugin that records which functions of the product each test executes: `-p tests.mutation.executed`.

It writes `EXECUTED_FUNCTIONS` (a path in the environment): test id → functions as `FILE::QUALIFIED.NAME`. What a test
executes in other processes, and what ran while modules were imported, is not recorded.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

ROOT = f"{Path(__file__).resolve().parents[2]}/"
PRODUCT = ("isthmus/", "components/", "policies/", "stacks/")

_executed: dict[str, set[CodeType]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    codes: set[CodeType] = _executed.setdefault(item.nodeid, set())

    def record(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            codes.add(frame.f_code)

    sys.setprofile(record)
    try:
        return (yield)
    finally:
        sys.setprofile(None)


def pytest_sessionfinish() -> None:
    functions = {test: sorted(filter(None, map(name_of, codes))) for test, codes in _executed.items()}
    Path(os.environ["EXECUTED_FUNCTIONS"]).write_text(json.dumps(functions), "utf-8")


def name_of(code: CodeType) -> str | None:
    """`FILE::QUALIFIED.NAME` of a function of the product; None for any other."""
    file = code.co_filename.removeprefix(ROOT)
    return f"{file}::{code.co_qualname}" if file.startswith(PRODUCT) else None
