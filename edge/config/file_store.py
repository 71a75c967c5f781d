"""Settings `file_store` and `batches` of a gateway: what is kept for callers for a day, and how batches are worked.

Routes with the interface `batches` or `idempotency` have them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.config.base import File, Strict

MIB = 1024 * 1024


class FileStore(Strict):
    """Files of callers (inputs and results of batches) and repeatable answers, encrypted in the gateway's database."""

    key: File
    """64 hexadecimal digits for this site and class. Several lines: the first encrypts, all decrypt."""
    max_file_bytes: Annotated[int, Field(ge=1024, le=512 * MIB)] = 64 * MIB
    """Bytes of one file that a caller uploads."""
    max_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * MIB)] = 256 * MIB
    """Bytes of all files that one caller has uploaded and not deleted."""
    max_files: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Files of one caller at once, without results."""
    fetched_keep_s: Annotated[int, Field(ge=0, le=86_400)] = 900
    """Seconds for which a result stays after it was sent to its end, so that a broken download can be repeated."""


class Batches(Strict):
    """How batches are worked."""

    max_lines: Annotated[int, Field(ge=1, le=1_000_000)] = 50_000
    """Lines of one batch."""
    max_unfinished: Annotated[int, Field(ge=1, le=1000)] = 10
    """Batches of one caller that have not ended."""
    lines_at_once: Annotated[int, Field(ge=1, le=1000)] = 8
    """Lines that one copy of the gateway sends at once, for each replica of a model at which no request waits."""
    lease_s: Annotated[float, Field(ge=1, le=600)] = 60
    """Seconds after which another copy takes up the lines of a copy that was killed."""
