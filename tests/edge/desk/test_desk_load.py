"""The desk with 50,000 held answers and 200 reviewers, each of whom decides every 20 seconds."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict

import httpx
import pytest

from tests.edge.desk.desks import Desk, form_of
from tests.edge.desk.many import insert, rows

ROWS, REVIEWERS, EVERY_S, ROUNDS = 50_000, 200, 20.0, 4
WITHIN_S = 0.1
"""Seconds in which 95 of 100 lists and next items must be there."""


class Reviewers:
    """People who list, take the next item, read it and decide, at a steady pace."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.took: dict[str, list[float]] = defaultdict(list)
        self.decided: list[str] = []

    async def work(self) -> None:
        context = self.desk.site.made.authority.client(None)
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(
            base_url=self.desk.url, verify=context, trust_env=False, timeout=60, limits=limits
        ) as client:
            await asyncio.gather(*(self._one(client, number) for number in range(REVIEWERS)))

    async def _one(self, client: httpx.AsyncClient, number: int) -> None:
        groups = [["everything"], ["payments"], ["kyc-domain"]][number % 3]
        headers = {
            "x-forwarded-access-token": self.desk.token(f"r{number}", *groups),
            "origin": self.desk.url,
        }
        await asyncio.sleep(EVERY_S * number / REVIEWERS)
        for _ in range(ROUNDS):
            began = time.monotonic()
            listed = await self._timed("list", client, "GET", "/", headers)
            headers["cookie"] = f"__Host-isthmus-desk={listed.cookies.get('__Host-isthmus-desk')}"
            taken = await self._timed("next", client, "POST", "/next", headers, form_of(listed.text, "/next"))
            path = taken.headers["location"]
            page = await self._timed("item", client, "GET", path, headers)
            form = form_of(page.text, f"{path}/decide")
            decision = {**form, "act": "approve", "stop": "1"}
            decided = await self._timed("decide", client, "POST", f"{path}/decide", headers, decision)
            assert decided.headers["location"] == "/?done=approved"
            self.decided.append(path.removeprefix("/items/"))
            headers.pop("cookie")
            await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))

    async def _timed(
        self,
        what: str,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        headers: dict[str, str],
        form: dict[str, str] | None = None,
    ) -> httpx.Response:
        began = time.perf_counter()
        client.cookies.clear()
        answer = await client.request(method, path, headers=headers, data=form)
        self.took[what].append(time.perf_counter() - began)
        assert answer.status_code in (200, 303), f"{path}: {answer.status_code} {answer.text[:2000]}"
        return answer


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_lists_and_next_items_are_fast_and_nobody_gets_anothers_item(desk: Desk):
    asyncio.run(insert(desk, rows(desk, ROWS)))
    reviewers = Reviewers(desk)
    asyncio.run(reviewers.work())
    for what, seconds in reviewers.took.items():
        p50, p95 = (statistics.quantiles(seconds, n=100)[number - 1] for number in (50, 95))
        print(f"{what}: {len(seconds)}, p50 {p50 * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms")
    assert len(reviewers.decided) == len(set(reviewers.decided)) == REVIEWERS * ROUNDS
    approved = desk.site.sql("SELECT count(*) FROM isthmus.held WHERE state = 'approved'")[0][0]
    assert approved == REVIEWERS * ROUNDS, "no decision was lost"
    for what in ("list", "next"):
        assert statistics.quantiles(reviewers.took[what], n=100)[94] <= WITHIN_S, what


@pytest.mark.soak
def test_every_list_of_50000_answers_is_fast(desk: Desk):
    asyncio.run(insert(desk, rows(desk, ROWS)))
    took: dict[str, list[float]] = {}
    for groups in ("everything", "payments", "kyc-domain", "nothing-there"):
        visitor = desk.visitor("anna", groups)
        for query in (
            "",
            "?domain=legal",
            "?workload=w3",
            "?due=8",
            "?older=1",
            "?list=decided",
            "?reason=asked",
        ):
            seconds = took.setdefault(f"{groups} {query}", [])
            for _ in range(20):
                began = time.perf_counter()
                assert visitor.get(f"/{query}").status_code == 200
                seconds.append(time.perf_counter() - began)
    together = [second for seconds in took.values() for second in seconds]
    print(f"lists: p95 {statistics.quantiles(together, n=100)[94] * 1000:.0f} ms")
    assert statistics.quantiles(together, n=100)[94] <= WITHIN_S
    assert {name: seconds for name, seconds in took.items() if statistics.median(seconds) > WITHIN_S} == {}
