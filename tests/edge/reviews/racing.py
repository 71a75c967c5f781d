"""Many held answers, reviewers who compete for them at two desks, killed processes, expiring deadlines."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.edge.processes import Edge
from tests.edge.reviews.reviewed import SECRET, Reviewed

LEFT = """
UPDATE isthmus.held SET decide_by = clock_timestamp() WHERE state IN ('held', 'escalated') AND id = ANY ('{%s}')
"""
"""Moves the deadline of undecided answers to now."""
AT_ONCE = 8


def kind(answer_id: str) -> str:
    """The planned outcome of an answer. Of twenty, one is rejected, one corrected, one escalated first, one left to
    expire.
    """
    return {0: "reject", 1: "correct", 2: "escalate", 3: "left"}.get(int(answer_id, 16) % 20, "approve")


@dataclass
class Person:
    name: str
    key: str
    desk: int
    senior: bool


@dataclass
class Race:
    """What applications and reviewers see."""

    site: Reviewed
    people: list[Person]
    told: list[str] = field(default_factory=list)
    """Answers that the application was told are held."""
    given: dict[str, str] = field(default_factory=dict)
    """Answers that were returned, and their marks."""
    too_soon: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    decided: int = 0
    over: bool = False
    desks: list[Edge] = field(default_factory=list)
    clients: dict[str, aiohttp.ClientSession] = field(default_factory=dict)

    async def call(
        self, edge: Edge, key: str, method: str, path: str, body: Any = None
    ) -> tuple[int, Any, str]:
        """Send a request. Returns status, body and mark. Status 0: the process ended during the request."""
        session = self.clients.get(edge.url)
        if session is None:
            tls: ssl.SSLContext = self.site.made.authority.client("app")
            connector = aiohttp.TCPConnector(ssl=tls, limit=4 * AT_ONCE)
            session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20))
            self.clients[edge.url] = session
        try:
            headers = {"authorization": f"Bearer {key}"}
            async with session.request(method, edge.url + path, json=body, headers=headers) as answer:
                content = await answer.json()
                return answer.status, content, answer.headers.get("x-isthmus-review", "")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            await asyncio.sleep(0.05)
            return 0, None, ""

    async def run(self, count: int, kills: int) -> None:
        """Run until every answer is decided or expired."""
        self.desks = list(self.site.desks[-2:])
        try:
            asking = [self._ask(count) for _ in range(AT_ONCE)]
            deciding = [self._decide(person) for person in self.people]
            background = [
                asyncio.create_task(task) for task in (*deciding, self._kill(count, kills), self._collect())
            ]
            await asyncio.gather(*asking)
            while await self._waits():
                for task in background:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.2)
            self.over = True
            await asyncio.gather(*background)
        finally:
            for session in self.clients.values():
                await session.close()

    async def _ask(self, count: int) -> None:
        while len(self.told) < count:
            number = len(self.told)
            body: dict[str, Any] = {"model": "credit", "messages": [{"role": "user", "content": SECRET}]}
            if number % 2:
                body["user"] = f"user-{number % 97}"
            status, content, _ = await self.call(
                self.site.gateway, self.site.key(), "POST", "/v1/chat/completions", body
            )
            self.seen[f"ask {status}"] += 1
            if status == 202:
                self.told.append(content["id"])

    async def _decide(self, person: Person) -> None:
        """Decide the waiting answers again and again, the oldest first, like the other reviewers."""
        while not self.over:
            path = "/v1/reviews?limit=100"
            while path and not self.over:
                status, page, _ = await self.call(self._desk(person), person.key, "GET", path)
                if status != 200:
                    break
                for row in page["data"]:
                    mine = row["state"] == "held" or person.senior
                    if mine and kind(row["id"]) != "left" and person.name not in row["approved_by"]:
                        await self._one(person, row["id"], row["state"])
                after = page["next"]
                path = f"/v1/reviews?limit=100&after={after.replace('+', '%2B')}" if after else ""
            await asyncio.sleep(0.02)

    async def _one(self, person: Person, answer_id: str, state: str) -> None:
        desk = self._desk(person)
        status, claimed, _ = await self.call(desk, person.key, "POST", f"/v1/reviews/{answer_id}/claim")
        if status != 200:
            self.seen[f"claim {status}"] += 1
            return
        act = kind(answer_id)
        if (act == "escalate" and state != "held") or (act == "correct" and "corrected" in claimed["answer"]):
            act = "approve"
        body = {"version": claimed["version"], "sha256": claimed["sha256"]}
        body |= {"texts": ["corrected"]} if act == "correct" else {}
        body |= {"reason": f"for-{act}"}
        # Sent twice at once, like a double click. At most one may count.
        results = await asyncio.gather(
            *(self.call(desk, person.key, "POST", f"/v1/reviews/{answer_id}/{act}", body) for _ in range(2))
        )
        done = [result for result in results if result[0] == 200]
        assert len(done) <= 1, "one act counted twice"
        self.seen.update(f"{act} {result[0]}" for result in results)
        self.decided += len(done)

    async def _collect(self) -> None:
        """Applications request their answers, mostly too early."""
        while not self.over:
            for answer_id in random.sample(self.told, min(20, len(self.told))):
                await self.look(answer_id)
            await asyncio.sleep(0.1)

    async def look_at_last(self, answer_id: str) -> None:
        """Repeat the request while the restarted gateway is not running or not sealed yet."""
        end = time.monotonic() + 30
        while await self.look(answer_id) in (0, 503) and time.monotonic() < end:
            await asyncio.sleep(0.1)

    async def look(self, answer_id: str) -> int:
        """Request an answer as its application. Returns the status."""
        status, body, mark = await self.call(
            self.site.gateway, self.site.key(), "GET", f"/v1/reviews/{answer_id}"
        )
        self.seen[f"look {status}"] += 1
        if status == 200 and mark:
            self.given[answer_id] = mark
        elif status and SECRET in str(body):
            self.too_soon.append(answer_id)
        return status

    async def _kill(self, count: int, kills: int) -> None:
        """Kill one process after the other without warning, and start a replacement."""
        for number in range(kills):
            goal = (number + 1) * count * 2 // (kills + 1)
            while self.decided < goal and not self.over:
                await asyncio.sleep(0.02)
            if self.over:
                return
            victim = number % 3
            old = self.site.gateway if victim == 2 else self.desks[victim]
            old.process.kill()
            if victim == 2:
                new = self.site.start_gateway()
            else:
                new = self.desks[victim] = self.site.start_desk()
            await asyncio.to_thread(new.wait_until_up)
            self.seen[f"killed {'gateway' if victim == 2 else 'desk'}"] += 1

    async def _waits(self) -> int:
        """Number of undecided answers. Moves the deadline of those that nobody decides to now."""
        rows = await asyncio.to_thread(
            self.site.sql, "SELECT id FROM isthmus.held WHERE state IN ('held', 'escalated')"
        )
        left = [row["id"] for row in rows if kind(row["id"]) == "left"]
        if left:
            await asyncio.to_thread(self.site.sql, LEFT % ",".join(left))
        return len(rows)

    def _desk(self, person: Person) -> Edge:
        return self.desks[person.desk]


def raced(site: Reviewed, count: int, kills: int) -> tuple[Race, float]:
    """Run a race to its end, and request every answer once more. Returns the race and its seconds."""
    people = [
        Person("anna@bank", site.reviewer("anna@bank"), 0, senior=False),
        Person("bert@bank", site.reviewer("bert@bank", "--senior"), 1, senior=True),
        Person("cara@bank", site.reviewer("cara@bank", "--senior"), 0, senior=True),
    ]
    site.key()
    race, began = Race(site, people), time.monotonic()

    async def run_race() -> None:
        await race.run(count, kills)
        race.clients.clear()
        try:
            for part in _chunks(race.told):
                await asyncio.gather(*(race.look_at_last(answer_id) for answer_id in part))
        finally:
            for session in race.clients.values():
                await session.close()

    asyncio.run(run_race())
    return race, time.monotonic() - began


def _chunks(ids: list[str]) -> list[list[str]]:
    return [ids[at : at + 50] for at in range(0, len(ids), 50)]
