"""Imports DuckDB, which is an extra."""

from __future__ import annotations

from typing import Any

from isthmus.core.errors import EnvironmentFault


def import_duckdb(why: str, where: str) -> Any:
    """The module. Raises `EnvironmentFault` that begins with `why` if it is not installed."""
    try:
        import duckdb
    except ImportError:
        raise EnvironmentFault(
            f"{why}, which is not installed",
            where=where,
            fix="Install it with `pip install 'isthmus[bills]'`, then run the same command again",
        ) from None
    return duckdb
