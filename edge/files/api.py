"""`/v1/files`, as OpenAI has it: upload, list, download and delete a caller's own files."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.callers import Caller
from edge.config.file_store import FileStore as Settings
from edge.database import DatabaseDown
from edge.deadlines import Deadline, Relay
from edge.files.cipher import Unreadable
from edge.files.store import KEEP, FileStore, StoredFile, TooMany
from edge.files.uploads import Upload
from edge.journal import write_line
from edge.openai_api import Refusal, bad_request

LIST_PATH, PATH, CONTENT_PATH = "/v1/files", "/v1/files/{id}", "/v1/files/{id}/content"
PURPOSES = frozenset(["batch"])
"""Purposes of uploads."""
RESULT = "batch_output"
_FIELDS = frozenset(["purpose", "expires_after[anchor]", "expires_after[seconds]"])
MOST_LISTED = 1000
_SHORTEST_S = 3600


class FilesApi:
    """Answers the requests about files. The caller is known."""

    def __init__(self, files: FileStore, settings: Settings) -> None:
        self._files, self._settings = files, settings

    async def upload(self, request: Request, caller: Caller) -> Response:
        """`POST /v1/files`. Raises Refusal 400, 413, 415, 429 or 503."""
        upload = Upload(request, self._settings.max_file_bytes, _FIELDS)
        with answering_database():
            writer = None
            try:
                async for piece in upload.content():
                    if writer is None:
                        expected = upload.expected_bytes
                        writer = await self._files.writer(
                            caller.identity, "batch", upload.file_name, expected
                        )
                    await writer.write(piece)
                keep = _keep(upload.fields)
                if writer is None:
                    raise bad_request("invalid_file", "The file is empty.")
                await writer.finish(keep=keep)
            except TooMany as full:
                raise self.full(full) from None
            except BaseException:
                if writer is not None:
                    with contextlib.suppress(DatabaseDown):
                        await self._files.delete(writer.id, caller.identity)
                raise
            return JSONResponse(_object(await self._own(writer.id, caller)))

    async def list(self, request: Request, caller: Caller) -> Response:
        """`GET /v1/files`, the newest first. Raises Refusal 503."""
        query = request.query_params
        most = limit_of(query.get("limit"), MOST_LISTED, MOST_LISTED)
        with answering_database():
            files = await self._files.listed(
                caller.identity, query.get("purpose"), query.get("after"), most + 1
            )
        return JSONResponse(page([_object(file) for file in files[:most]], has_more=len(files) > most))

    async def look(self, request: Request, caller: Caller) -> Response:
        """`GET /v1/files/{id}`. Raises Refusal 404 or 503."""
        return JSONResponse(_object(await self._own(request.path_params["id"], caller)))

    async def delete(self, request: Request, caller: Caller) -> Response:
        """`DELETE /v1/files/{id}`. Raises Refusal 404 or 503."""
        file_id = request.path_params["id"]
        with answering_database():
            if not await self._files.delete(file_id, caller.identity):
                raise no_file()
        return JSONResponse({"id": file_id, "object": "file", "deleted": True})

    async def content(self, request: Request, caller: Caller, deadline: Deadline) -> Response:
        """`GET /v1/files/{id}/content`. A result that was sent to its end is deleted soon. Raises Refusal 404 or 503.

        A download that breaks changes nothing, so it can be repeated.
        """
        file = await self._own(request.path_params["id"], caller)
        pieces = self._files.pieces(file)
        first = b""
        with answering_database():
            try:
                first = await deadline.wait(anext(pieces, b""))
            except Unreadable:
                write_line("file_unreadable", id=file.id)
                raise Refusal(503, "file_unreadable", "The gateway cannot read this file any more.") from None

        async def sending() -> AsyncIterator[bytes]:
            if first:
                yield first
            async for piece in pieces:
                yield piece
            if file.purpose == RESULT:
                with contextlib.suppress(DatabaseDown):  # then it stays for its day
                    await self._files.fetched(file)

        async def close() -> None:
            return None

        headers = {"content-type": "application/octet-stream", "content-length": str(file.bytes)}
        return Relay(sending(), deadline, close, headers=headers)

    async def _own(self, file_id: str, caller: Caller) -> StoredFile:
        with answering_database():
            file = await self._files.get(file_id, caller.identity)
        if file is None:
            raise no_file()
        return file

    def full(self, full: TooMany) -> Refusal:
        """The refusal of a caller who stores too much."""
        settings = self._settings
        return Refusal(
            429,
            "file_store_full",
            f"You have {full.files} files with {full.bytes} bytes, and may have {settings.max_files} files and "
            f"{settings.max_bytes} bytes. Fetch results, or delete files with DELETE /v1/files/{{id}}.",
        )


def no_file() -> Refusal:
    """The refusal of a file that is not the caller's, or not there."""
    return Refusal(404, "file_not_found", "You have no file with this id. Files are deleted after a day.")


def limit_of(value: str | None, default: int, most: int) -> int:
    """The query parameter `limit`. Raises Refusal 400."""
    if value is None:
        return default
    if not value.isdigit() or len(value) > 9 or int(value) < 1:
        raise bad_request("invalid_limit", f"The parameter 'limit' must be a number from 1 to {most}.")
    return min(int(value), most)


def page(objects: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """A page of a list, as OpenAI has it."""
    first, last = (objects[0]["id"], objects[-1]["id"]) if objects else (None, None)
    return {"object": "list", "data": objects, "has_more": has_more, "first_id": first, "last_id": last}


def _keep(fields: dict[str, str]) -> timedelta:
    """How long an upload is kept. Raises Refusal 400."""
    if fields.get("purpose") not in PURPOSES:
        raise bad_request("invalid_purpose", "The field 'purpose' must be 'batch'.")
    seconds = fields.get("expires_after[seconds]")
    if seconds is None and "expires_after[anchor]" not in fields:
        return KEEP
    stated = seconds or ""
    if (
        fields.get("expires_after[anchor]") != "created_at"
        or not stated.isdigit()
        or int(stated[:9]) < _SHORTEST_S
    ):
        raise bad_request(
            "invalid_expires_after",
            f"The field 'expires_after' must be {{anchor: created_at, seconds: {_SHORTEST_S} or more}}.",
        )
    return min(KEEP, timedelta(seconds=int(stated[:9])))


def _object(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at.timestamp()),
        "expires_at": int(file.delete_at.timestamp()),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


@contextlib.contextmanager
def answering_database() -> Any:
    """Turn a failure of the database into Refusal 503."""
    try:
        yield
    except DatabaseDown:
        message = "The gateway cannot access files now. Try again later."
        raise Refusal(503, "file_store_unavailable", message) from None
