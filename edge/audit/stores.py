"""Where seals are put: an S3-compatible store with Object Lock, or a folder that holds a copy of one.

A name is written once. In a bucket with Object Lock nothing can be taken away before its time, but a later version can
be laid over a name, or a mark that hides it: what is read is always the first version, and the rest is told.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol


class StoreFault(Exception):
    """The store cannot be asked, or does not do what it must."""


class Store(Protocol):
    """What sealing and verifying need."""

    def put(self, name: str, data: bytes, keep_days: int) -> None:
        """Write a name that is not there; one that is there with the same bytes is left. Raises StoreFault."""
        ...

    def get(self, name: str) -> bytes | None:
        """What was first written under a name."""
        ...

    def names(self, prefix: str, after: str = "") -> list[str]:
        """Names that begin so, in order, beyond one of them."""
        ...

    def oddities(self) -> list[str]:
        """What shows that somebody tried to change the store, or that it can be changed."""
        ...


class FolderStore:
    """A folder: for copies of a store, and for tests. It is written once by us, and by nobody else's promise."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, name: str, data: bytes, keep_days: int) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}")
        temporary.write_bytes(data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            if path.read_bytes() != data:
                raise StoreFault(f"{path}: there is another one of this name") from None
        finally:
            temporary.unlink()

    def get(self, name: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.root / name).read_bytes()
        return None

    def names(self, prefix: str, after: str = "") -> list[str]:
        folder = self.root / prefix.rpartition("/")[0]
        names = [path.relative_to(self.root).as_posix() for path in folder.rglob("*") if path.is_file()]
        return sorted(name for name in names if name.startswith(prefix) and name > after)

    def oddities(self) -> list[str]:
        return []


class S3Store:
    """A prefix of a bucket."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._s3, self._bucket = client, bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._first: dict[str, str] = {}
        self._odd: list[str] = []
        self._markers: dict[str, datetime.datetime] = {}
        """When each name was hidden first, by a delete marker."""

    def put(self, name: str, data: bytes, keep_days: int) -> None:
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=keep_days)
        with self._told(name):
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + name,
                    Body=data,
                    IfNoneMatch="*",
                    ObjectLockMode="COMPLIANCE",
                    ObjectLockRetainUntilDate=until,
                    # Object Lock demands one of the request's body.
                    ChecksumAlgorithm="SHA256",
                )
            except self._s3.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "PreconditionFailed":
                    raise
                # Of an attempt whose answer was lost, or of another sealer.
                if self.get(name) != data:
                    raise StoreFault(f"{self._bucket}/{self._prefix}{name}: there is another one") from None

    def get(self, name: str) -> bytes | None:
        with self._told(name):
            if name not in self._first:
                self._list(name, "")
            version = self._first.get(name)
            if version is None:
                return None
            version_argument = {} if version == "null" else {"VersionId": version}
            response = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name, **version_argument)
            return response["Body"].read()
        return None

    def names(self, prefix: str, after: str = "") -> list[str]:
        with self._told(prefix):
            self._list(prefix, after)
        return sorted(name for name in self._first if name.startswith(prefix) and name > after)

    def oddities(self) -> list[str]:
        return [*self.unlocked(), *sorted({*self._odd, *self._hidden_early()})]

    def _hidden_early(self) -> Iterator[str]:
        """Names that were hidden while their first version was locked. Later, the bucket's own rules delete them."""
        for name, hidden in self._markers.items():
            if name not in self._first:
                # Its record was deleted, and the chain tells whether that is missing.
                continue
            until = self.locked_until(name)
            if until is None or hidden < until:
                yield f"{name}: a delete marker of {hidden:%Y-%m-%d %H:%M} hides it"

    def _list(self, prefix: str, after: str) -> None:
        """Note the first version of each name, and what came after it."""
        pages = self._s3.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket,
            Prefix=self._prefix + prefix,
            **({"KeyMarker": self._prefix + after} if after else {}),
        )
        versions: dict[str, list[dict[str, Any]]] = {}
        for page in pages:
            for version in page.get("Versions", []):
                versions.setdefault(version["Key"].removeprefix(self._prefix), []).append(version)
            for mark in page.get("DeleteMarkers", []):
                name, hidden = mark["Key"].removeprefix(self._prefix), mark["LastModified"]
                self._markers[name] = min(hidden, self._markers.get(name, hidden))
        for name, versions_of_name in versions.items():
            # The store lists the newest first, and times are of whole seconds.
            first = versions_of_name[-1]
            self._first[name] = first["VersionId"]
            if any(
                (version["ETag"], version["Size"]) != (first["ETag"], first["Size"])
                for version in versions_of_name
            ):
                self._odd.append(
                    f"{name}: another version was laid over it, {versions_of_name[0]['LastModified']:%Y-%m-%d %H:%M}"
                )

    def unlocked(self) -> list[str]:
        """What is said where the bucket lets seals be deleted."""
        with self._told("its Object Lock"):
            try:
                response = self._s3.get_object_lock_configuration(Bucket=self._bucket)
            except self._s3.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "ObjectLockConfigurationNotFoundError":
                    raise
                response = {}
        if response.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            return [f"bucket {self._bucket}: it has no Object Lock, so seals can be deleted"]
        return []

    def locked_until(self, name: str) -> datetime.datetime | None:
        """Until when nobody can delete the first version of a name; None: it is not locked."""
        with self._told(name):
            version = self._first[name]
            response = self._s3.head_object(Bucket=self._bucket, Key=self._prefix + name, VersionId=version)
            return (
                response.get("ObjectLockRetainUntilDate")
                if response.get("ObjectLockMode") == "COMPLIANCE"
                else None
            )
        return None

    @contextlib.contextmanager
    def _told(self, name: str) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise StoreFault(f"s3://{self._bucket}/{self._prefix}{name}: the store says {code}") from None
        except BotoCoreError as error:
            raise StoreFault(f"s3://{self._bucket}/{self._prefix}{name}: {type(error).__name__}") from None
