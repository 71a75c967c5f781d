"""Finding the files of a bill in folders and in S3 (moto)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.usage.bills.locations import bill_files
from isthmus.usage.bills.reading import read_bill
from tests.s3_service import client, s3_service

NOVEMBER = date(2026, 11, 1)


def _folder(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return root


def _names(place: Path, month: date | None = NOVEMBER) -> list[str]:
    with bill_files(str(place), month) as files:
        return [str(file.relative_to(place)) for file in files]


def test_a_folder_gives_the_files_of_the_month(tmp_path: Path):
    folder = _folder(
        tmp_path,
        "data/BILLING_PERIOD=2026-10/a.parquet",
        "data/BILLING_PERIOD=2026-11/a.parquet",
        "data/BILLING_PERIOD=2026-11/b.parquet",
        "metadata/BILLING_PERIOD=2026-11/Manifest.json",
    )
    assert _names(folder) == [
        "data/BILLING_PERIOD=2026-11/a.parquet",
        "data/BILLING_PERIOD=2026-11/b.parquet",
    ]
    assert len(_names(folder, None)) == 3


def test_two_versions_of_one_bill_are_not_counted_together(tmp_path: Path):
    folder = _folder(
        tmp_path,
        "data/BILLING_PERIOD=2026-11/20261130T010203Z-aa/a.parquet",
        "data/BILLING_PERIOD=2026-11/20261201T010203Z-bb/a.parquet",
    )
    with pytest.raises(
        InputError, match=r"2 versions of one bill.* Fix: Give the newest one: 20261201T010203Z-bb"
    ):
        _names(folder)


def test_a_folder_without_a_bill_and_a_missing_path_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="there is no bill of 2026-11"):
        _names(_folder(tmp_path, "readme.txt"))
    with pytest.raises(InputError, match="the bill does not exist"):
        _names(tmp_path / "missing")


@pytest.fixture(scope="module")
def s3(bills: dict[str, Path]) -> Iterator[Any]:
    with s3_service() as url:
        s3_client = client(url)
        s3_client.create_bucket(Bucket="billing")
        file = str(bills["cur.parquet"])
        for key in (
            "bank/data/BILLING_PERIOD=2026-11/a.parquet",
            "bank2/data/BILLING_PERIOD=2026-11/a.parquet",
        ):
            s3_client.upload_file(file, "billing", key)
        yield s3_client


@pytest.mark.service
def test_a_bill_in_s3_is_copied_read_and_removed(s3: Any, bills: dict[str, Path]):
    with bill_files("s3://billing/bank", NOVEMBER, s3) as files:
        assert [file.name for file in files] == ["000000.parquet"], (
            "the files of bank2 belong to another export"
        )
        lines = read_bill(files, NOVEMBER).lines
    assert lines == read_bill([bills["cur.parquet"]], NOVEMBER).lines
    assert not files[0].exists()


@pytest.mark.service
def test_a_missing_bucket_is_a_fault_of_the_environment(s3: Any):
    with (
        pytest.raises(EnvironmentFault, match="cannot be read from S3"),
        bill_files("s3://missing/bank", None, s3),
    ):
        pass
