"""Fifty people at once in the real Open WebUI, behind our proxy and before a real gateway with a paced model."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from isthmus.contracts.reference.open_webui import OpenWebUi, database_variables
from sandbox.local import chats
from tests.edge.chat_sessions import Session
from tests.edge.postgres import Postgres
from tests.edge.processes import Edge, free_port
from tests.edge.reviews.reviewed import SAID
from tests.edge.reviews.signing_on import people_at_a_gateway
from tests.edge.test_chats import Chatting, configured

pytestmark = [pytest.mark.sandbox, pytest.mark.soak, pytest.mark.timeout(3600)]

SESSIONS, ROUNDS = 50, 4
MIB = 1024 * 1024
MOST_GROWTH_MIB = 40
"""Growth of the memory of Open WebUI, and of our proxy, from the second round to the last."""


class Real:
    """Open WebUI from its package, on its own database."""

    def __init__(self, folder: Path, postgres: Postgres, models_port: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        postgres.ask("CREATE DATABASE chat_sessions")
        self.database = postgres.administrator("chat_sessions")
        chat = OpenWebUi(
            "restricted", self.url, ["claims"], keeps_history=True, port=self.port, models_port=models_port
        )
        password = Path(self.database["password"]).read_text().strip()
        environment = {
            **{key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ},
            **chat.environment(),
            **{"DATA_DIR": str(folder), "STATIC_DIR": str(folder / "static"), "HOME": str(folder)},
            **{"FROM_INIT_PY": "true", "WEBUI_SECRET_KEY": "x" * 40},
            **{name: value for name, value in database_variables("", 0, "", "").items() if "POOL" in name},
            # On a machine with other work, a page's pong may take longer than the usual 20 s.
            "WEBSOCKET_SERVER_PING_TIMEOUT": "120",
            "DATABASE_URL": f"postgresql://{self.database['user']}:{password}@127.0.0.1:{self.database['port']}/chat_sessions",
        }
        command = [str(chats.PACKAGES.program("python")), "-m", "uvicorn", "open_webui.main:app"]
        self.log = folder / "open-webui.log"
        self.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(self.port)],
            env=environment,
            cwd=folder,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
        )

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        print(
            f"Open WebUI's last lines:\n{self.log.read_text()[-3000:]}"
        )  # pytest shows them after a failure


@pytest.fixture(scope="module")
def crowded(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Chatting, Real]]:
    if why := chats.missing():
        pytest.skip(why)
    chats.PACKAGES.install()
    folder = tmp_path_factory.mktemp("sessions")
    with ExitStack() as stack:
        people = stack.enter_context(people_at_a_gateway(postgres, folder, "sessions"))
        models_port = free_port()
        real = Real(folder, postgres, models_port)
        stack.callback(real.close)
        config = configured(people, real.url, models_port)
        config["history"] = {"days": 30, "database": real.database}
        proxy = Edge(folder / "proxy", config)
        stack.callback(proxy.process.wait, 10)
        stack.callback(proxy.process.kill)
        try:
            proxy.wait_until_up().wait_until_well(120)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{real.log.read_text()[-3000:]}") from None
        yield Chatting(people, real, proxy, models_port), real  # type: ignore[arg-type]


def page_of(chatting: Chatting, number: int) -> Session:
    token = chatting.token("heads", sub=f"p{number}", email=f"p{number}@bank.example")
    client = httpx.Client(
        base_url=chatting.proxy.url,
        verify=chatting.people.site.made.authority.client(None),
        headers={"x-forwarded-access-token": token},
        trust_env=False,
        timeout=120,
    )
    return Session(client, "claims")


def test_fifty_people_get_their_answers_as_they_are_written_and_memory_stays_flat(
    crowded: tuple[Chatting, Real],
):
    chatting, real = crowded
    chatting.people.site.made.models[0].reset("slow")
    with ThreadPoolExecutor(SESSIONS) as pool:
        sessions = list(pool.map(lambda number: page_of(chatting, number), range(SESSIONS)))
        used: list[tuple[float, float]] = []
        for _ in range(ROUNDS):
            answers = list(pool.map(Session.ask, sessions))
            assert all(words.startswith(SAID) for words, _ in answers), answers[:3]
            assert sum(pauses >= 2 for _, pauses in answers) > SESSIONS // 2, (
                "answers came at once, not as a stream"
            )
            pids = (real.process.pid, chatting.proxy.process.pid)
            used.append(tuple(psutil.Process(pid).memory_info().rss / MIB for pid in pids))  # type: ignore[arg-type]
    for session in sessions:
        session.close()
    growth = [last - second for second, last in zip(used[1], used[-1], strict=True)]
    assert max(growth) < MOST_GROWTH_MIB, f"MiB after each round: {used}"
    lines = chatting.proxy.lines("request")
    assert len([line for line in lines if line["path"] == "/v1/chat/completions"]) == SESSIONS * ROUNDS
    assert [line for line in lines if line["status"] >= 500] == []
    print(f"MiB of Open WebUI and of the proxy after each round: {used}")
