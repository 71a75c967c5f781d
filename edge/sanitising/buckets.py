"""A prefix of a bucket as source and as target.

S3 can neither append nor rename, and neither is needed: an object is written as a whole, and each manifest line is an
object of its own until the run ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from typing import Any

from edge.sanitising.locations import (
    MANIFEST,
    SUMMARY,
    WORK,
    BadPlace,
    Item,
    PlaceFault,
    is_reserved,
    leads_outside,
)


class Bucket:
    """Operations that source and target share."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._s3, self._bucket = client, bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""

    def listed(self, below: str = "") -> Iterator[tuple[str, int]]:
        """Return the names and sizes of the objects below the prefix."""
        with self._told(below):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + below
            )
            for page in pages:
                for stored in page.get("Contents", []):
                    yield stored["Key"].removeprefix(self._prefix), stored["Size"]

    def read(self, name: str) -> bytes:
        with self._told(name):
            return self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
        raise AssertionError

    def put(self, name: str, data: bytes) -> None:
        """Write an object."""
        with self._told(name):
            self._s3.put_object(
                Bucket=self._bucket, Key=self._prefix + name, Body=data, ChecksumAlgorithm="SHA256"
            )

    def _delete(self, name: str) -> None:
        with self._told(name):
            self._s3.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    @property
    def where(self) -> str:
        """Return `s3://bucket/prefix`."""
        return f"s3://{self._bucket}/{self._prefix}"

    @contextlib.contextmanager
    def _told(self, name: str) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            raise PlaceFault(
                f"{self.where}{name}: the store says {error.response['Error']['Code']}"
            ) from None
        except BotoCoreError as error:
            raise PlaceFault(f"{self.where}{name}: {type(error).__name__}") from None


class BucketSource(Bucket):
    """All objects below a prefix, or the object with this name."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        super().__init__(client, bucket, prefix)
        self._whole = prefix.strip("/")

    def items(self) -> list[Item]:
        found = [
            self._item(*name_and_size)
            for name_and_size in self.listed()
            if not name_and_size[0].endswith("/")
        ]
        if not found and "/" in f"/{self._whole}" and self._whole:
            # If it names an object instead of a prefix, the object's folder is the prefix.
            folder, _, name = self._whole.rpartition("/")
            self._prefix = folder + "/" if folder else ""
            found = [
                self._item(*name_and_size) for name_and_size in self.listed(name) if name_and_size[0] == name
            ]
        if not found:
            raise BadPlace("there is nothing", self.where, "Check bucket and prefix")
        return sorted(found, key=lambda item: item.name)

    @staticmethod
    def _item(name: str, size: int) -> Item:
        return Item(name, size, "its key is no path within a folder" if leads_outside(name) else "")


class BucketTarget(Bucket):
    """A prefix that only this target uses. It does not detect two runs at the same time."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        super().__init__(client, bucket, prefix)
        self._noted = 0

    def begin(self) -> list[bytes]:
        names = {name for name, _ in self.listed()}
        noted = sorted(name for name in names if name.startswith(f"{WORK}/"))
        if names and MANIFEST not in names and not noted:
            raise BadPlace(
                f"objects lie there and no {MANIFEST}, so it is not a prefix that this command made",
                self.where,
                "Name a prefix with nothing below it",
            )
        if not names:
            self.put(MANIFEST, b"")
        self._delete(SUMMARY)
        self._noted = 1 + int(noted[-1].rpartition("/")[2]) if noted else 0
        manifest = self.read(MANIFEST) if MANIFEST in names else b""
        return [*manifest.splitlines(), *(self.read(name).rstrip(b"\n") for name in noted)]

    def output(self, name: str) -> _Object:
        return _Object(self, name)

    def sha256(self, name: str) -> str | None:
        exists = any(listed_name == name for listed_name, _ in self.listed(name))
        return hashlib.sha256(self.read(name)).hexdigest() if exists else None

    def remove(self, name: str) -> None:
        if not is_reserved(name):
            self._delete(name)

    def note(self, line: bytes) -> None:
        self.put(f"{WORK}/{self._noted:09}", line)
        self._noted += 1

    def end(self, manifest: bytes, summary: bytes) -> None:
        self.put(MANIFEST, manifest)
        for name in [name for name, _ in self.listed(f"{WORK}/")]:
            self._delete(name)
        self.put(SUMMARY, summary)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


class _Object:
    """An object whose bytes are collected in memory. It is sent only by `keep`."""

    def __init__(self, target: BucketTarget, name: str) -> None:
        self._target, self._name, self._data = target, name, io.BytesIO()

    def write(self, data: bytes) -> None:
        self._data.write(data)

    def keep(self) -> None:
        self._target.put(self._name, self._data.getvalue())

    def drop(self) -> None:
        self._data.close()
