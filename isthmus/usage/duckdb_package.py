"""Imports DuckDB, which is an extra."""

from __future__ import annotations

from typing import Any

from isthmus.core.errors import missing_extra


def import_duckdb(why: str, where: str) -> Any:
    """The module. Raises `EnvironmentFault` that begins with `why` if it is not installed."""
    try:
        import duckdb
    except ImportError:
        raise missing_extra(f"{why}, which is not installed", "bills", where=where) from None
    return duckdb
