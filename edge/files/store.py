"""Files in pieces in PostgreSQL: encrypted, each of one owner, deleted when their time is over."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge.config.file_store import FileStore as Settings
from edge.database import Database
from edge.files.cipher import Cipher, Unreadable

PIECE_BYTES = 256 * 1024
KEEP = timedelta(hours=24)
"""Life of an upload, and of a result from the end of its batch."""
UPLOADING = timedelta(hours=1)
"""Life of a file that is not whole yet."""
_OF = "(class, site, owner) = ($1, $2, $3)"
_WHOLE = "complete AND delete_at > clock_timestamp()"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_USED = f"""
SELECT count(*) AS files, coalesce(sum(bytes), 0)::bigint AS bytes FROM isthmus.files
WHERE {_OF} AND delete_at > clock_timestamp()
"""  # noqa: S608 (constants)
_CREATE = """
INSERT INTO isthmus.files (id, class, site, owner, purpose, name, bytes, delete_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8::interval)
"""
_APPEND = "INSERT INTO isthmus.file_pieces (file, number, content) VALUES ($1, $2, $3)"
_FINISH = """
UPDATE isthmus.files SET complete = true, bytes = $2, delete_at = clock_timestamp() + $3::interval WHERE id = $1
"""
_COLUMNS = "id, purpose, name, bytes, created_at, delete_at"
_GET = f"SELECT {_COLUMNS} FROM isthmus.files WHERE {_OF} AND id = $4 AND {_WHOLE}"  # noqa: S608
_LIST = f"""
SELECT {_COLUMNS} FROM isthmus.files WHERE {_OF} AND {_WHOLE} AND ($4::text IS NULL OR purpose = $4)
    AND ($5::text IS NULL OR (created_at, id) < (SELECT created_at, id FROM isthmus.files WHERE {_OF} AND id = $5))
ORDER BY created_at DESC, id DESC LIMIT $6
"""  # noqa: S608
_PIECE = "SELECT content FROM isthmus.file_pieces WHERE (file, number) = ($1, $2)"
_DELETE = f"DELETE FROM isthmus.files WHERE {_OF} AND id = $4 RETURNING id"  # noqa: S608
_FETCHED = """
UPDATE isthmus.files SET delete_at = least(delete_at, clock_timestamp() + $2::interval) WHERE id = $1
"""
_SWEEP = "DELETE FROM isthmus.files WHERE delete_at <= clock_timestamp()"


class TooMany(Exception):
    """The owner has too many files, or too many bytes in them."""

    def __init__(self, files: int, bytes_: int) -> None:
        super().__init__(files, bytes_)
        self.files, self.bytes = files, bytes_


@dataclass(frozen=True)
class StoredFile:
    """A whole file of one owner."""

    id: str
    owner: str
    purpose: str
    name: str
    bytes: int
    created_at: datetime
    delete_at: datetime

    @property
    def pieces(self) -> int:
        """Number of its pieces."""
        return -(-self.bytes // PIECE_BYTES)


class FileStore:
    """The files of one gateway's callers. Every method raises DatabaseDown."""

    def __init__(
        self, database: Database, settings: Settings, cipher: Cipher, data_class: str, site: str
    ) -> None:
        self._database, self._settings, self._cipher = database, settings, cipher
        self._place = data_class, site

    async def has_room(self, owner: str) -> None:
        """Raise TooMany if the owner may store no more."""
        await self._database.transaction(lambda connection: self._require_room(connection, owner, 0))

    async def _require_room(self, connection: Any, owner: str, more: int) -> None:
        row = await connection.fetchrow(_USED, *self._place, owner)
        if row["files"] >= self._settings.max_files or row["bytes"] + more > self._settings.max_bytes:
            raise TooMany(row["files"], row["bytes"])

    async def writer(
        self, owner: str, purpose: str, name: str, expected_bytes: int, *, counted: bool = True
    ) -> FileWriter:
        """Begin a file. `counted`: within the limits of its owner. Raises TooMany."""
        file_id = f"file-{secrets.token_hex(16)}"
        sealed = self._cipher.encrypt(f"{file_id}\0{owner}\0name", name.encode("utf-8", "surrogatepass"))

        async def create(connection: Any) -> None:
            if counted:
                await connection.execute(_LOCK, "\0".join((*self._place, owner)).replace("\0", "/"))
                await self._require_room(connection, owner, expected_bytes)
            values = (*self._place, owner, purpose, sealed, expected_bytes, UPLOADING)
            await connection.execute(_CREATE, file_id, *values)

        await self._database.transaction(create)
        return FileWriter(self._database, self._cipher, file_id, owner)

    async def get(self, file_id: str, owner: str) -> StoredFile | None:
        """A whole file of the owner; None if there is none of this id."""
        rows = await self._database.fetch(_GET, *self._place, owner, file_id)
        return self._file(rows[0], owner) if rows else None

    async def listed(self, owner: str, purpose: str | None, after: str | None, most: int) -> list[StoredFile]:
        """Files of the owner, the newest first. `after`: only those that come after this id."""
        rows = await self._database.fetch(_LIST, *self._place, owner, purpose, after, most)
        return [self._file(row, owner) for row in rows]

    async def pieces(self, file: StoredFile) -> AsyncIterator[bytes]:
        """The content in pieces. Raises Unreadable, also if the file was deleted meanwhile."""
        for number in range(file.pieces):
            rows = await self._database.fetch(_PIECE, file.id, number)
            if not rows:
                raise Unreadable(file.id)
            yield self._cipher.decrypt(_piece_name(file.id, file.owner, number), rows[0]["content"])

    async def delete(self, file_id: str, owner: str) -> bool:
        """Delete a file of the owner. Returns whether there was one."""
        return bool(await self._database.fetch(_DELETE, *self._place, owner, file_id))

    async def fetched(self, file: StoredFile) -> None:
        """Note that a result was sent to its end: it is deleted soon."""
        await self._database.fetch(_FETCHED, file.id, timedelta(seconds=self._settings.fetched_keep_s))

    async def sweep(self) -> None:
        """Delete what has had its time."""
        await self._database.fetch(_SWEEP)

    def _file(self, row: Any, owner: str) -> StoredFile:
        try:
            name = self._cipher.decrypt(f"{row['id']}\0{owner}\0name", row["name"])
        except Unreadable:
            name = b""
        return StoredFile(
            *(row["id"], owner, row["purpose"], name.decode("utf-8", "replace"), row["bytes"]),
            *(row["created_at"], row["delete_at"]),
        )


class FileWriter:
    """A file that is being written. It can be read when it is whole."""

    def __init__(self, database: Database, cipher: Cipher, file_id: str, owner: str) -> None:
        self._database, self._cipher, self._owner = database, cipher, owner
        self.id = file_id
        self.bytes = 0
        self._buffer = bytearray()
        self._pieces = 0

    async def write(self, data: bytes) -> None:
        """Append to the file."""
        self._buffer += data
        self.bytes += len(data)
        while len(self._buffer) >= PIECE_BYTES:
            piece = bytes(self._buffer[:PIECE_BYTES])
            del self._buffer[:PIECE_BYTES]
            await self._append(piece)

    async def finish(self, connection: Any = None, keep: timedelta = KEEP) -> None:
        """Make the file whole. `connection`: in its transaction, with what belongs to it."""
        if self._buffer:
            await self._append(bytes(self._buffer))
            self._buffer.clear()
        run: Callable[..., Any] = self._database.fetch if connection is None else connection.execute
        await run(_FINISH, self.id, self.bytes, keep)

    async def _append(self, piece: bytes) -> None:
        sealed = self._cipher.encrypt(_piece_name(self.id, self._owner, self._pieces), piece)
        await self._database.fetch(_APPEND, self.id, self._pieces, sealed)
        self._pieces += 1


def _piece_name(file_id: str, owner: str, number: int) -> str:
    return f"{file_id}\0{owner}\0{number}"
