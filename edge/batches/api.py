"""`/v1/batches`, as OpenAI has it: create, list, look at and cancel a caller's own batches."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.batches.store import Batch, BatchStore, TooManyBatches
from edge.callers import Caller, StoredIdentity
from edge.config.file_store import Batches
from edge.files import FileStore
from edge.files.api import FilesApi, answering_database, limit_of, no_file, page
from edge.files.store import TooMany
from edge.openai_api import Refusal, bad_request, check_fields, parse_object, read_body

LIST_PATH, PATH, CANCEL_PATH = "/v1/batches", "/v1/batches/{id}", "/v1/batches/{id}/cancel"
WINDOW = "24h"
_FIELDS = frozenset(["input_file_id", "endpoint", "completion_window", "metadata"])
_MOST_LISTED, _LISTED = 100, 20


class BatchesApi:
    """Answers the requests about batches. The caller is known."""

    def __init__(
        self,
        batches: BatchStore,
        files: FileStore,
        files_api: FilesApi,
        settings: Batches,
        endpoints: Set[str],
        max_bytes: int,
    ) -> None:
        """`endpoints`: paths that a batch may name. `max_bytes`: of a request to create one."""
        self._batches, self._files, self._files_api = batches, files, files_api
        self._settings, self._endpoints, self._max_bytes = settings, endpoints, max_bytes

    async def create(self, request: Request, caller: Caller) -> Response:
        """`POST /v1/batches`. The lines are checked afterwards. Raises Refusal 400, 404, 429 or 503."""
        body = parse_object(await read_body(request, self._max_bytes))
        check_fields(body, _FIELDS)
        endpoint, window = body.get("endpoint"), body.get("completion_window")
        if not isinstance(endpoint, str) or endpoint not in self._endpoints:
            raise bad_request(
                "invalid_endpoint",
                f"The field 'endpoint' must be one of {', '.join(sorted(self._endpoints))}.",
            )
        if window != WINDOW:
            raise bad_request("invalid_completion_window", f"The field 'completion_window' must be {WINDOW}.")
        metadata, input_file = _metadata(body.get("metadata")), body.get("input_file_id")
        identity = StoredIdentity.of(request, caller)
        with answering_database():
            file = await self._files.get(input_file, caller.identity) if isinstance(input_file, str) else None
            if file is None:
                raise no_file()
            if file.purpose != "batch":
                raise bad_request("invalid_input_file", "The file's purpose must be 'batch'.")
            try:
                await self._files.has_room(caller.identity)
                batch = await self._batches.create(identity, endpoint, file.id, metadata)
            except TooMany as full:
                raise self._files_api.full(full) from None
            except TooManyBatches:
                raise Refusal(
                    429,
                    "too_many_batches",
                    f"You have {self._settings.max_unfinished} batches that have not ended, which is the most. "
                    "Wait for one, or cancel it.",
                ) from None
        return JSONResponse(_object(batch))

    async def list(self, request: Request, caller: Caller) -> Response:
        """`GET /v1/batches`, the newest first. Raises Refusal 503."""
        most = limit_of(request.query_params.get("limit"), _LISTED, _MOST_LISTED)
        with answering_database():
            await self._granted(request, caller)
            batches = await self._batches.listed(caller.identity, request.query_params.get("after"), most + 1)
        objects = [_object(batch) for batch in batches[:most]]
        return JSONResponse(page(objects, has_more=len(batches) > most))

    async def look(self, request: Request, caller: Caller) -> Response:
        """`GET /v1/batches/{id}`. Raises Refusal 404 or 503."""
        with answering_database():
            await self._granted(request, caller)
        return await self._own(request, caller)

    async def cancel(self, request: Request, caller: Caller) -> Response:
        """`POST /v1/batches/{id}/cancel`. Lines that run are answered. Raises Refusal 404 or 503."""
        with answering_database():
            await self._batches.cancel(request.path_params["id"], caller.identity)
        return await self._own(request, caller)

    async def _own(self, request: Request, caller: Caller) -> Response:
        with answering_database():
            batch = await self._batches.get(request.path_params["id"], caller.identity)
        if batch is None:
            raise Refusal(
                404,
                "batch_not_found",
                "You have no batch with this id. Batches are deleted a day after their end.",
            )
        return JSONResponse(_object(batch))

    async def _granted(self, request: Request, caller: Caller) -> None:
        """Batches of people go on while one of their tokens is valid: each look extends that."""
        if caller.is_person:
            await self._batches.grant(StoredIdentity.of(request, caller))


def _metadata(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if (
        not isinstance(value, dict)
        or len(value) > 16
        or not all(
            isinstance(text, str) and len(text) <= 512 and len(key) <= 64 for key, text in value.items()
        )
    ):
        raise bad_request(
            "invalid_metadata",
            "The field 'metadata' must be an object of at most 16 texts of 512 characters.",
        )
    return value


def _object(batch: Batch) -> dict[str, Any]:
    row, ended = batch.row, batch.row["ended_at"]
    code, _, message = (row["reason"] or "").partition(" ")
    error = {"code": code, "message": message, "line": None, "param": None}
    # A batch that is going to fail has its reason already.
    has_failed = row["reason"] is not None and row["ending"] == "failed"
    ends = {
        f"{status}_at": _seconds(ended if row["status"] == status else None)
        for status in ("completed", "failed", "expired", "cancelled")
    }
    return {
        "id": row["id"],
        "object": "batch",
        "endpoint": row["endpoint"],
        "errors": {"object": "list", "data": [error]} if has_failed else None,
        "input_file_id": row["input_file"],
        "completion_window": WINDOW,
        "status": row["status"],
        "output_file_id": row["output_file"],
        "error_file_id": row["error_file"],
        "created_at": _seconds(row["created_at"]),
        "in_progress_at": _seconds(row["in_progress_at"]),
        "expires_at": _seconds(row["expires_at"]),
        "finalizing_at": _seconds(row["finalizing_at"]),
        "cancelling_at": _seconds(row["cancelling_at"]),
        **ends,
        "request_counts": {key: row[key] for key in ("total", "completed", "failed")},
        "metadata": batch.metadata or None,
    }


def _seconds(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp())
