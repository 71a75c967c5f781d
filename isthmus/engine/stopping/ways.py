"""The ways to stop a workload at one gateway: review service, database, file of this machine, Secret of a cluster."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx

from isthmus.core.errors import EnvironmentFault, InputError, IsthmusError, Refused
from isthmus.core.kubernetes_client import MERGE_PATCH, ApiRefusal, KubeClient
from isthmus.engine.stopping import stops_file

if TYPE_CHECKING:
    from edge.database import Database
    from isthmus.engine.verification.access import Client

CONFIRMED_S = 6.0
"""Seconds to wait until a gateway says that it refuses. Each refuses within 5 s."""
LOOK_S = 0.2
CHANGED = "isthmus.dev/stops-changed"
"""Annotation of a gateway's pods: when its file of stops was last written."""
WayName = Literal["reviews", "database", "file", "secret"]


@dataclass(frozen=True)
class Act:
    """What to do to a workload."""

    workload: str
    reason: str
    message: str
    restart: bool = False


@dataclass
class Done:
    """What was done at one gateway."""

    outcome: str
    """`stopped`, `already`, `asked` or `restarted`."""
    id: str = ""
    refusing: list[str] | None = None
    """Names of copies of the gateway that say they refuse. None: this way tells nobody."""
    woken: int | None = None
    """Of a Secret: pods whose kubelet was asked to read it at once. None: no right to ask."""


@dataclass(frozen=True)
class DeskWay:
    """Through the review service, as a senior reviewer."""

    desk: Client
    data_class: str
    site: str
    name: WayName = "reviews"

    def do(self, act: Act) -> Done:
        """Raises `Refused`, `InputError` or `EnvironmentFault`."""
        from isthmus.engine.verification.prompts import open_client

        try:
            with open_client(self.desk) as http:
                if act.restart:
                    stop_id = self._open(http, act.workload)["id"]
                    answer = _answer(http.post(f"/v1/stops/{stop_id}/restart", json={"reason": act.reason}))
                    return Done(answer["outcome"], answer["id"])
                body = {"workload": act.workload, "reason": act.reason, "message": act.message}
                answer = _answer(http.post("/v1/stops", json=body))
                refusing = confirmed(lambda: self._open(http, act.workload)["refusing"])
                return Done(answer["outcome"], answer["id"], refusing)
        except httpx.HTTPError as error:
            raise EnvironmentFault(
                f"the review service does not answer: {str(error).splitlines()[0]}",
                where=self.desk.url,
                fix="Check the address, and that its pods run",
            ) from None

    def _open(self, http: httpx.Client, workload: str) -> dict[str, Any]:
        stops = _answer(http.get("/v1/stops"))["data"]
        return _in_effect(stops, workload, self.data_class, self.site)


def _answer(response: httpx.Response) -> Any:
    """The JSON of an answer. Raises `Refused` for a refusal, and `EnvironmentFault` for a failure."""
    if response.status_code == 200:
        return response.json()
    try:
        message = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = response.text[:200]
    kind = Refused if response.status_code < 500 else EnvironmentFault
    raise kind(message, where=str(response.request.url))


@dataclass(frozen=True)
class DatabaseWay:
    """In the gateway's database, as the person's own user."""

    file: Path
    data_class: str
    site: str
    name: WayName = "database"

    def do(self, act: Act) -> Done:
        """Raises `Refused`, `InputError` or `EnvironmentFault`."""
        from edge.config import ConfigError
        from edge.config.database import read_database_settings
        from edge.database import Database, DatabaseDown
        from edge.openai_api import Refusal

        async def once() -> Done:
            database = Database(read_database_settings(self.file))
            try:
                return await self._do(database, act)
            finally:
                await database.close()

        try:
            return asyncio.run(once())
        except ConfigError as error:
            raise InputError(str(error), where=str(self.file)) from None
        except Refusal as refusal:
            raise Refused(refusal.message, where=str(self.file)) from None
        except DatabaseDown as error:
            raise EnvironmentFault(
                f"the database did not do it ({error})",
                where=str(self.file),
                fix="Check its address, and that this user may stop workloads (docs/stop.md)",
            ) from None

    async def _do(self, database: Database, act: Act) -> Done:
        from edge.stops import acts

        if act.restart:
            stop_id = (await self._open(database, act.workload))["id"]
            restarted = await database.transaction(
                lambda connection: acts.restart(connection, stop_id, act.reason)
            )
            return Done(restarted.outcome, restarted.id)
        place = self.data_class, self.site
        stopped = await database.transaction(
            lambda connection: acts.stop(connection, place, act.workload, act.reason, act.message)
        )
        end = time.monotonic() + CONFIRMED_S
        while not (refusing := (await self._open(database, act.workload))["refusing"]):
            if time.monotonic() > end:
                break
            await asyncio.sleep(LOOK_S)
        return Done(stopped.outcome, stopped.id, _names(refusing))

    async def _open(self, database: Database, workload: str) -> dict[str, Any]:
        from edge.stops import acts

        stops = await database.transaction(
            lambda connection: acts.listed(connection, self.data_class, self.site, [workload], ended=False)
        )
        return _in_effect(stops, workload, self.data_class, self.site)


def _in_effect(stops: list[dict[str, Any]], workload: str, data_class: str, site: str) -> dict[str, Any]:
    for stop in stops:
        if (stop["workload"], stop["class"], stop["site"]) == (workload, data_class, site):
            return stop
    raise Refused(f"`{workload}` is not stopped", where=f"{data_class} at {site}")


def confirmed(look: Callable[[], list[dict[str, Any]]]) -> list[str]:
    """Names of the copies that refuse, as soon as there are any, or after `CONFIRMED_S`."""
    end = time.monotonic() + CONFIRMED_S
    while not (refusing := look()) and time.monotonic() < end:
        time.sleep(LOOK_S)
    return _names(refusing)


def _names(refusing: list[dict[str, Any]]) -> list[str]:
    return [str(copy["gateway"]) for copy in refusing]


@dataclass(frozen=True)
class FileWay:
    """In the file of stops of a gateway on this machine, in the sandbox."""

    file: Path
    person: str
    name: WayName = "file"

    def do(self, act: Act) -> Done:
        """Raises `Refused` or `InputError`."""
        text = self.file.read_text("utf-8") if self.file.exists() else ""
        text, outcome = _changed(text, act, self.person)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text, "utf-8")
        fresh.replace(self.file)
        return Done(outcome)


@dataclass(frozen=True)
class SecretWay:
    """In the Secret of a gateway's callers, as the person whom the cluster knows."""

    cluster: KubeClient
    namespace: str
    secret: str
    """Name of the Secret of callers."""
    key: str
    """Name of the file of stops in the Secret."""
    selector: str
    """Labels of the gateway's pods."""
    name: WayName = "secret"

    def do(self, act: Act) -> Done:
        """Raises `Refused`, `InputError` or `EnvironmentFault`."""
        path = f"/api/v1/namespaces/{self.namespace}/secrets/{self.secret}"
        try:
            secret = self.cluster.get(path)
            data = (secret.get("data") or {}).get(self.key, "")
            text, outcome = _changed(base64.b64decode(data).decode(), act, self._person())
            body = {
                "metadata": {"resourceVersion": secret["metadata"]["resourceVersion"]},
                "data": {self.key: base64.b64encode(text.encode()).decode()},
            }
            self.cluster.call("PATCH", path, body=body, content_type=MERGE_PATCH)
        except ApiRefusal as refusal:
            raise EnvironmentFault(
                f"the cluster refuses to change the Secret ({refusal.reason})",
                where=f"{self.cluster.context} {path}",
                fix="Use an account that may read and change this Secret. After a conflict run the command again",
            ) from None
        return Done(outcome, woken=self._wake())

    def _wake(self) -> int | None:
        """Change an annotation of each pod: kubelet then reads its Secrets at once, not within a minute or two."""
        pods = f"/api/v1/namespaces/{self.namespace}/pods"
        body = {"metadata": {"annotations": {CHANGED: datetime.now(UTC).isoformat(timespec="milliseconds")}}}
        try:
            listed = self.cluster.get(pods, params={"labelSelector": self.selector})["items"] or []
            for pod in listed:
                self.cluster.call(
                    "PATCH", f"{pods}/{pod['metadata']['name']}", body=body, content_type=MERGE_PATCH
                )
        except ApiRefusal:
            return None
        return len(listed)

    def _person(self) -> str:
        """The name by which the cluster knows the person."""
        review = self.cluster.create(
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
        )
        return str(review["status"]["userInfo"]["username"])


def _changed(text: str, act: Act, person: str) -> tuple[str, str]:
    if act.restart:
        return stops_file.restart_asked(text, act.workload, person)
    return stops_file.stopped(text, act.workload, act.reason, act.message, person, datetime.now(UTC))


@dataclass(frozen=True)
class NoWay:
    """A gateway at which no workload can be stopped, and why."""

    error: IsthmusError

    def do(self, act: Act) -> Done:
        """Raises the error."""
        raise self.error


Way = DeskWay | DatabaseWay | FileWay | SecretWay | NoWay
