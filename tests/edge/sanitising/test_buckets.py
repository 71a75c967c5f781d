"""Sanitising buckets (on moto): a prefix becomes another prefix, and an interrupted run resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from edge.redaction import Rules
from edge.sanitising import BadPlace, FolderTarget, PlaceFault, sanitise
from edge.sanitising.buckets import BucketSource, BucketTarget
from tests.edge.sanitising.conftest import MAIL, PUBLIC, Quiet
from tests.s3_service import client, s3_service


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with s3_service() as url:
        s3_client = client(url)
        s3_client.create_bucket(Bucket="data")
        texts = (("a.txt", f"to {MAIL}"), ("b/c.csv", f"m\n{MAIL}\n"), ("b/", ""), ("../up.txt", "x"))
        for name, text in texts:
            s3_client.put_object(Bucket="data", Key=f"raw/{name}", Body=text.encode())
        s3_client.put_object(Bucket="data", Key="rawer/a.txt", Body=b"of another prefix")
        yield s3_client


def objects(s3: Any, prefix: str) -> dict[str, bytes]:
    contents = s3.list_objects_v2(Bucket="data", Prefix=prefix).get("Contents", [])
    read = {entry["Key"]: s3.get_object(Bucket="data", Key=entry["Key"])["Body"].read() for entry in contents}
    return {name.removeprefix(prefix): data for name, data in read.items()}


def test_a_prefix_is_sanitised_into_another_and_a_key_that_leads_out_is_refused(s3: Any):
    outcome = sanitise(
        BucketSource(s3, "data", "raw"), BucketTarget(s3, "data", "clean/"), Rules(), PUBLIC, Quiet()
    )
    cleaned_objects = objects(s3, "clean/")
    assert set(cleaned_objects) == {"a.txt", "b/c.csv", "manifest.jsonl", "summary.json"}
    assert cleaned_objects["b/c.csv"] == b"m\n<EMAIL_ADDRESS_1>\n"
    assert [refusal.path for refusal in outcome.refused] == ["../up.txt"]
    assert len(cleaned_objects["manifest.jsonl"].splitlines()) == 3
    assert json.loads(cleaned_objects["summary.json"])["done"] == 2


def test_a_single_object_is_a_valid_source_and_an_empty_prefix_is_refused(s3: Any):
    assert [file.name for file in BucketSource(s3, "data", "raw/b/c.csv").items()] == ["c.csv"]
    with pytest.raises(BadPlace, match="nothing"):
        BucketSource(s3, "data", "ra").items()
    with pytest.raises(PlaceFault, match="NoSuchBucket"):
        BucketSource(s3, "nowhere", "").items()


class CutOff(Exception):
    """Raised where a real process would be killed."""


class Failing(BucketTarget):
    """A target that is interrupted before it records the second file."""

    def note(self, line: bytes) -> None:
        if self._noted == 1:
            raise CutOff
        super().note(line)


def test_an_interrupted_bucket_run_resumes_with_the_same_objects(s3: Any):
    source, target = BucketSource(s3, "data", "raw"), BucketTarget(s3, "data", "whole")
    sanitise(source, target, Rules(), PUBLIC, Quiet())
    with pytest.raises(CutOff):
        sanitise(source, Failing(s3, "data", "cut"), Rules(), PUBLIC, Quiet())
    assert "summary.json" not in objects(s3, "cut/")
    sanitise(source, BucketTarget(s3, "data", "cut"), Rules(), PUBLIC, quiet := Quiet())
    assert objects(s3, "cut/") == objects(s3, "whole/")
    assert (sanitise(source, BucketTarget(s3, "data", "cut"), Rules(), PUBLIC, quiet)).kept == 2


def test_bucket_and_folder_can_be_combined_and_a_prefix_with_other_objects_is_refused(s3: Any, tmp_path):
    source = BucketSource(s3, "data", "raw")
    outcome = sanitise(source, FolderTarget(tmp_path / "out"), Rules(), PUBLIC, Quiet())
    assert (tmp_path / "out/a.txt").read_text() == "to <EMAIL_ADDRESS_1>"
    assert not (tmp_path / "up.txt").exists()
    assert outcome.summary["done"] == 2
    with pytest.raises(BadPlace, match="not a prefix that this command made"):
        sanitise(source, BucketTarget(s3, "data", "rawer"), Rules(), replace(PUBLIC, prune=True), Quiet())
    assert set(objects(s3, "rawer/")) == {"a.txt"}
