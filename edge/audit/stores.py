"""Stores of seals: an S3-compatible bucket with Object Lock, or a folder with a copy of one.

Each name is written once. Object Lock prevents deletion before the retention ends, but a later version or a delete
marker can hide an object. `get` always reads the first version, and `oddities` reports the others.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol


class StoreFault(Exception):
    """The store cannot be reached or does not behave as required."""


class Store(Protocol):
    """A store as sealing and verification need it."""

    def put(self, name: str, data: bytes, keep_days: int) -> None:
        """Write a new name. A name with the same bytes is left as it is. Raises StoreFault."""
        ...

    def get(self, name: str) -> bytes | None:
        """The bytes that were first written under a name, or None."""
        ...

    def names(self, prefix: str, after: str = "") -> list[str]:
        """Names with the prefix, in order, after the name `after`."""
        ...

    def oddities(self) -> list[str]:
        """Signs that somebody changed the store, or can change it."""
        ...


class FolderStore:
    """A folder, for copies of a store and for tests. It does not enforce write-once."""

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
        # A name that begins with a dot is still being written.
        files = (path for path in folder.rglob("*") if not path.name.startswith(".") and path.is_file())
        names = [path.relative_to(self.root).as_posix() for path in files]
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
        """Time of the first delete marker of each name."""

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
                    # Object Lock requires a checksum of the body.
                    ChecksumAlgorithm="SHA256",
                )
            except self._s3.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "PreconditionFailed":
                    raise
                # It may come from an attempt whose answer was lost, or from another sealer.
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
        """Names that a delete marker hid while their first version was locked."""
        for name, hidden in self._markers.items():
            if name not in self._first:
                # The first version is gone, and the verification of the chain tells whether it is missing.
                continue
            until = self.locked_until(name)
            if until is None or hidden < until:
                yield f"{name}: a delete marker of {hidden:%Y-%m-%d %H:%M} hides it"

    def _list(self, prefix: str, after: str) -> None:
        """Note the first version of each name, and report later ones."""
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
            # The store lists the newest version first. Times are no help, because they have whole seconds.
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
        """A finding if the bucket has no Object Lock, so that seals could be deleted."""
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
        """Time until which the first version of a name is locked. None: it is not locked."""
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
