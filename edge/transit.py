"""What a gateway keeps for its callers for a day: files, batches and repeatable answers, and their paths."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from edge.batches import BatchesApi, BatchStore, BatchWorker
from edge.batches import api as batches_api
from edge.batches.files import BatchFiles
from edge.batches.worker import Work
from edge.callers import Caller, Identify
from edge.config import GatewayConfig
from edge.config.file_store import FileStore as Settings
from edge.database import Database
from edge.deadlines import Deadline, Relay
from edge.files import Cipher, FileStore
from edge.files import api as files_api
from edge.files.api import FilesApi
from edge.openai_api import Refusal
from edge.repeatable import RepeatableAnswers
from edge.service import State

Handler = Callable[[Request, Caller, Deadline], Awaitable[Response]]


@dataclass(frozen=True)
class OfGateway:
    """What batches need of the gateway."""

    caller: Callable[[Request], Awaitable[Caller]]
    identify: Identify
    serves_batches: Callable[[Caller], bool]
    """Whether a workload of the caller has batches."""
    model_of: Callable[[Caller, str, dict[str, Any]], str]
    """Workload and model, with a space between them, of a body for a path. Raises Refusal."""
    idle_replicas: Callable[[str], int]
    """Replicas of a model (workload and name) at which no request waits."""
    account: Callable[[], Awaitable[None]]
    """Writes usage to the accounts. Raises DatabaseDown."""
    endpoints: frozenset[str]
    """Paths that a batch may name."""


class Transit:
    """Files, batches and repeatable answers of one gateway. Raises ConfigError."""

    def __init__(
        self, config: GatewayConfig, settings: Settings, database: Database, state: State, gateway: OfGateway
    ) -> None:
        self._limits, self._state, self._gateway = config.limits, state, gateway
        place = config.data_class, config.site
        cipher = Cipher(settings.key, *place)
        self.repeatable = RepeatableAnswers(database, cipher, *place, config.limits.request_timeout_s)
        self._files = FileStore(database, settings, cipher, *place)
        self._files_api = FilesApi(self._files, settings)
        self._batches = BatchStore(database, cipher, config.batches, *place)
        body_bytes = config.limits.max_body_bytes
        self._api = BatchesApi(
            *(self._batches, self._files, self._files_api, config.batches),
            *(gateway.endpoints, body_bytes),
        )
        batch_files = BatchFiles(
            *(self._batches, self._files, config.batches, body_bytes),
            *(gateway.identify.stored, gateway.model_of),
        )
        work = Work(
            app=lambda: state.app,
            idle_replicas=gateway.idle_replicas,
            account=gateway.account,
            draining=lambda: state.draining,
            count=state.metrics.batch_line,
            sweep=self._sweep,
        )
        self._worker = BatchWorker(
            self._batches, batch_files, work, config.batches.lines_at_once, config.batches.lease_s
        )

    @property
    def background(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Tasks that run until the process ends."""
        return [self._worker.working, self._worker.storing, self._worker.renewing]

    def routes(self) -> list[HttpRoute]:
        """The paths of files and batches."""
        files, batches = self._files_api, self._api
        paths: list[tuple[str, str, Handler]] = [
            ("POST", files_api.LIST_PATH, _plain(files.upload)),
            ("GET", files_api.LIST_PATH, _plain(files.list)),
            ("GET", files_api.PATH, _plain(files.look)),
            ("DELETE", files_api.PATH, _plain(files.delete)),
            ("GET", files_api.CONTENT_PATH, files.content),
            ("POST", batches_api.LIST_PATH, _plain(batches.create)),
            ("GET", batches_api.LIST_PATH, _plain(batches.list)),
            ("GET", batches_api.PATH, _plain(batches.look)),
            ("POST", batches_api.CANCEL_PATH, _plain(batches.cancel)),
        ]
        by_path: dict[str, dict[str, Handler]] = {}
        for method, path, handler in paths:
            by_path.setdefault(path, {})[method] = handler
        return [
            HttpRoute(path, partial(self._answer, path, handlers), methods=list(handlers))
            for path, handlers in by_path.items()
        ]

    async def close(self) -> None:
        """Leave unfinished work to other copies."""
        await self._worker.close()

    async def _sweep(self) -> None:
        await self._batches.sweep()
        await self._files.sweep()
        await self.repeatable.sweep()

    async def _answer(self, path: str, handlers: dict[str, Handler], request: Request) -> Response:
        request.state.exchange.path = path
        deadline = Deadline(self._limits.request_timeout_s, self._state.running)
        answer: Response | None = None
        try:
            caller = await deadline.wait(self._gateway.caller(request))
            if not self._gateway.serves_batches(caller):
                raise Refusal(404, "not_found", "Batches are not served for your workloads.")
            handler = handlers["GET" if request.method == "HEAD" else request.method]
            answer = await handler(request, caller, deadline)
            if request.method == "POST":
                self._worker.wake()
            return answer
        except TimeoutError:
            raise deadline.refusal() from None
        finally:
            if not isinstance(answer, Relay):
                deadline.done()


def _plain(work: Callable[[Request, Caller], Awaitable[Response]]) -> Handler:
    """A handler within the deadline."""

    async def answer(request: Request, caller: Caller, deadline: Deadline) -> Response:
        return await deadline.wait(work(request, caller))

    return answer
