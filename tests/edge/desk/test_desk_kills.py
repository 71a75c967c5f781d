"""Reviewers decide on pages while service and database are killed: no decision is lost, and none counts twice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx
import pytest

from tests.edge.desk.desks import Desk, form_of
from tests.edge.desk.many import insert, rows
from tests.edge.postgres import Postgres

pytestmark = pytest.mark.service
SERVICE_AGAIN_S = 300.0


@dataclass
class People:
    """Reviewers with browsers, who go on after an error as people do: they open the page again."""

    desk: Desk
    goal: int
    confirmed: dict[str, str] = field(default_factory=dict)
    """Items whose decision the desk confirmed, and who decided."""
    errors: Counter[str] = field(default_factory=Counter)

    async def work(self, count: int) -> None:
        """Decide until `goal` items are confirmed."""
        context = self.desk.site.made.authority.client(None)
        async with httpx.AsyncClient(
            base_url=self.desk.url, verify=context, trust_env=False, timeout=30
        ) as client:
            await asyncio.gather(*(self._one(client, f"r{number}") for number in range(count)))

    async def _one(self, client: httpx.AsyncClient, name: str) -> None:
        headers = {
            "x-forwarded-access-token": self.desk.token(name, "everything"),
            "origin": self.desk.url,
        }
        while len(self.confirmed) < self.goal:
            listed = await self._call(client, "GET", "/", headers)
            headers["cookie"] = f"__Host-isthmus-desk={listed.cookies.get('__Host-isthmus-desk')}"
            taken = await self._call(client, "POST", "/next", headers, form_of(listed.text, "/next"))
            path = taken.headers.get("location", "/")
            if path.startswith("/items/"):
                await self._decide(client, name, path, headers)
            headers.pop("cookie")

    async def _decide(self, client: httpx.AsyncClient, name: str, path: str, headers: dict[str, str]) -> None:
        """Approve an item, again after an error while it is still to be decided."""
        while True:
            page = await self._call(client, "GET", path, headers)
            if f'action="{path}/decide"' not in page.text:
                return
            form = {**form_of(page.text, f"{path}/decide"), "act": "approve", "stop": "1"}
            try:
                decided = await client.post(f"{path}/decide", headers=headers, data=form)
            except httpx.HTTPError as error:
                self.errors[type(error).__name__] += 1
                continue
            if decided.status_code == 303 and decided.headers["location"] == "/?done=approved":
                self.confirmed[path.removeprefix("/items/")] = name
                return
            self.errors[f"decide {decided.status_code}"] += 1

    async def _call(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        headers: dict[str, str],
        form: dict[str, str] | None = None,
    ) -> httpx.Response:
        """A request, repeated until the desk answers it."""
        end = time.monotonic() + SERVICE_AGAIN_S
        while True:
            client.cookies.clear()
            try:
                answer = await client.request(method, path, headers=headers, data=form)
                if answer.status_code < 500:
                    return answer
                self.errors[f"{answer.status_code}"] += 1
            except httpx.HTTPError as error:
                self.errors[type(error).__name__] += 1
            assert time.monotonic() < end, f"{method} {path}: {dict(self.errors)}"
            await asyncio.sleep(0.1)


async def killing(people: People, postgres: Postgres, kills: int) -> None:
    """Kill the review service and PostgreSQL in turn while people decide."""
    for number in range(kills):
        while len(people.confirmed) < people.goal * (number + 1) // (kills + 1):
            await asyncio.sleep(0.02)
        if number % 2:
            await asyncio.to_thread(database_killed, postgres)
        else:
            people.desk.site.desk.process.kill()
            await asyncio.to_thread(people.desk.site.desk.process.wait, 10)
            await asyncio.to_thread(lambda: people.desk.site.start_desk().wait_until_up())


def database_killed(postgres: Postgres) -> None:
    with postgres.down():
        time.sleep(0.5)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("held", "reviewers", "goal", "kills"),
    [(300, 10, 120, 3), pytest.param(50_000, 50, 1_000, 6, marks=pytest.mark.soak)],
    ids=["some", "fifty thousand"],
)
def test_killing_service_and_database_loses_no_decision(
    desk: Desk, postgres: Postgres, held: int, reviewers: int, goal: int, kills: int
):
    asyncio.run(insert(desk, rows(desk, held)))
    people = People(desk, goal)

    async def both() -> None:
        await asyncio.gather(people.work(reviewers), killing(people, postgres, kills))

    asyncio.run(both())
    print(f"{len(people.confirmed)} confirmed; errors: {dict(people.errors)}")
    assert people.errors, "nobody noticed the kills"
    states = {row["id"]: row["state"] for row in desk.site.sql("SELECT id, state FROM isthmus.held")}
    approvals = desk.site.sql("SELECT id, by FROM isthmus.review_acts WHERE act = 'approve'")
    assert set(Counter(row["id"] for row in approvals).values()) == {1}, "an item was decided twice"
    by = {row["id"]: row["by"] for row in approvals}
    lost = {item for item in people.confirmed if states[item] != "approved"}
    assert lost == set()
    assert {item: by[item] for item in people.confirmed} == {
        item: f"{name}@bank.example" for item, name in people.confirmed.items()
    }
    recorded = {
        (record["id"], record["who"]["reviewer"])
        for record in desk.site.records("review")
        if record["act"] == "approve"
    }
    assert {(row["id"], row["by"]) for row in approvals} <= recorded
