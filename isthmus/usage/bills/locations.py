"""Finds the files of a bill: a file, a folder, or a prefix in S3, which is copied to a folder first."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.usage.bills.reading import SUFFIXES

_VERSION = re.compile(r"(?P<before>.*?)/?(?P<version>\d{8}T\d{6}Z[^/]*)/[^/]+")
_PERIOD = re.compile(r"BILLING_PERIOD=(\d{4}-\d{2})")


@contextlib.contextmanager
def bill_files(place: str, month: date | None, s3_client: Any = None) -> Iterator[list[Path]]:
    """The files of a bill, for as long as the context lasts.

    Args:
        place: a file, a folder (searched with its subfolders) or `s3://bucket/prefix`.
        month: first day of the month; folders `BILLING_PERIOD=YYYY-MM` of other months are left out.
        s3_client: a boto3 client; used only for a place in S3.

    Raises `InputError` if there is no file, or if several versions of one export would be counted together.
    """
    if place.startswith("s3://"):
        with tempfile.TemporaryDirectory(prefix="isthmus-bill-") as folder:
            yield _download(place, month, s3_client, Path(folder))
        return
    path = Path(place)
    if path.is_file():
        yield [path]
        return
    if not path.is_dir():
        raise InputError("the bill does not exist", where=place, fix="Check the path of --bill")
    found = [str(file.relative_to(path)) for file in sorted(path.rglob("*")) if file.is_file()]
    yield [path / name for name in _selected(found, month, place)]


def _download(place: str, month: date | None, client: Any, folder: Path) -> list[Path]:
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    below = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    files: list[Path] = []
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        keys = [key for key in keys if key == prefix or key.startswith(below)]
        for number, key in enumerate(_selected(keys, month, place)):
            suffix = next(suffix for suffix in reversed(SUFFIXES) if key.lower().endswith(suffix))
            files.append(folder / f"{number:06}{suffix}")
            client.download_file(bucket, key, str(files[-1]))
    except (BotoCoreError, ClientError) as error:
        raise EnvironmentFault(
            f"the bill cannot be read from S3 ({error})",
            where=place,
            fix="Check the address, and that the credentials may list and read it",
        ) from None
    return files


def _selected(names: Iterable[str], month: date | None, place: str) -> list[str]:
    bills = [name for name in names if name.lower().endswith(SUFFIXES)]
    if month is not None and any(_PERIOD.search(name) for name in bills):
        wanted = f"BILLING_PERIOD={month:%Y-%m}"
        bills = [name for name in bills if wanted in name]
    if not bills:
        period = f" of {month:%Y-%m}" if month else ""
        raise InputError(
            f"there is no bill{period} (no file ends in {', '.join(SUFFIXES)})",
            where=place,
            fix="Give the folder of one export, e.g. …/data",
        )
    versions: dict[str, set[str]] = {}
    for name in bills:
        if match := _VERSION.fullmatch(name):
            versions.setdefault(match["before"], set()).add(match["version"])
    for before, several in versions.items():
        if len(several) > 1:
            raise InputError(
                f"{before or 'the folder'} has {len(several)} versions of one bill, which would be counted together",
                where=place,
                fix=f"Give the newest one: {max(several)}",
            )
    return bills
