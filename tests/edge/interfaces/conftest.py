"""Fixture: a gateway whose model `fast` has every interface, in front of a sidecar and a fake model server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.edge.clients.helpful import Helpful
from tests.edge.counted import Counted, counted
from tests.edge.postgres import Postgres

EVERY = ["completions", "responses", "messages", "tokenize"]


@dataclass
class Offered:
    """The running gateway, the key of its workload, and its model server."""

    site: Counted
    key: str

    @property
    def model(self) -> Helpful:
        model = self.site.models[0]
        assert isinstance(model, Helpful)
        return model

    def post(self, path: str, *, key: str | None = None, **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key or self.key}"}
        return self.site.post(0, path, {"model": "fast", **body}, headers, None)

    def sent(self) -> dict[str, Any]:
        """The request that the model server got last."""
        return self.model.last_body()

    def line(self, answer: httpx.Response) -> dict[str, Any]:
        """The line of the journal of an answered request."""
        return self.site.gateways[0].wait_for_line("request", request_id=answer.headers["x-request-id"])


def events(answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """Name and data of each event of a stream."""
    blocks = [block for block in answer.text.split("\n\n") if block and not block.startswith(":")]
    named = [block.partition("\n") for block in blocks]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, _, data in named
    ]


@pytest.fixture(scope="package")
def offered_site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offered]:
    with counted(
        tmp_path_factory.mktemp("interfaces"), postgres, "interfaces", [Helpful()], "public"
    ) as site:
        files = {"certificate": str(site.folder / "gateway.crt"), "key": str(site.folder / "gateway.key")}
        offering = {"workload": "app", "target": "onprem-vllm", "gpus": 1, "usd_per_gpu_hour": 2.0}
        site.start(
            **{"class": "public", "listen": files},
            workloads=[{"name": "app", "allowance": {"tokens_per_month": 10**9}}],
            routes=[
                {**site.place(), **offering, "name": "fast", "interfaces": EVERY},
                {**site.place(), **offering, "name": "plain"},
                {
                    **site.place(),
                    "workload": "app",
                    "name": "cloud",
                    "target": "bedrock",
                    "interfaces": ["messages"],
                },
            ],
        )
        for edge in (*site.sidecars, *site.gateways):
            edge.wait_until_up()
        yield Offered(site, site.issue("app", "public"))


@pytest.fixture
def offered(offered_site: Offered) -> Offered:
    """The running gateway, with its model server reset."""
    offered_site.model.reset()
    return offered_site
