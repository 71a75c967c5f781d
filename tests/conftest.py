"""What all tests share: which of them are fast enough for `make check`."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
SERVICES = ("edge", "aws_sandbox", "toolchain")
"""Rooms whose tests start services or programs of their own: seconds each, so not for every save."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(HERE).parts[0] in SERVICES:
            item.add_marker("service")
