"""Gateways with batches on one real PostgreSQL, and OpenAI's unmodified client."""

from __future__ import annotations

import io
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai

from tests.edge.counted import Counted, GatewayDatabase, counted
from tests.edge.fake_model import USAGE, FakeModel
from tests.edge.postgres import Postgres

CHAT = "/v1/chat/completions"
KEY = "7b" * 32
INTERFACES = ["batches", "idempotency", "responses", "messages", "tokenize"]
SECRET = "IBAN DE02 1203"
"""Text of every prompt."""


class Echoing(FakeModel):
    """Answers with the last word of the prompt, and counts how often it was asked for each."""

    seconds = 0.0
    """Time that an answer takes."""
    tail = ""
    """Further text of each answer."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.priorities: list[Any] = []
        super().__init__()

    def reset(self, behaviour: str = "ok") -> None:
        super().reset(behaviour)
        self.seconds, self.tail = 0.0, ""
        self.asked.clear()
        self.priorities.clear()

    def answer_to(self, path: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """Echo the last word. None: `behaviour` decides."""
        if path == "/v1/embeddings":
            data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
            usage = {"prompt_tokens": 3, "total_tokens": 3}
            return {"object": "list", "model": "bge", "data": data, "usage": usage}
        word = request["messages"][-1]["content"].split()[-1]
        with self.lock:
            self.asked[word] += 1
            self.priorities.append(request.get("priority"))
        if self.behaviour != "ok":
            return None
        time.sleep(self.seconds)
        message = {"role": "assistant", "content": f"{word}\u2028" + self.tail}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {
            **{"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "llama"},
            **{"choices": [choice], "usage": USAGE},
        }


def line(number: int, model: str = "narratives", **changes: Any) -> dict[str, Any]:
    """A line of an input file."""
    body = {"model": model, "messages": [{"role": "user", "content": f"{SECRET} word-{number}"}]}
    fields = {"custom_id": f"request-{number}", "method": "POST", "url": CHAT, "body": body}
    return {**fields, **changes}


def jsonl(lines: Iterable[Any]) -> bytes:
    """An input file. Text is written as it is."""
    return b"".join(
        (item if isinstance(item, bytes) else json.dumps(item).encode()) + b"\n" for item in lines
    )


class Batched(Counted):
    """The site of a test, with clients."""

    def start(self, **changes: Any) -> Any:
        (self.folder / "transit").write_text(KEY)
        routes = [
            {
                **self.place(target="onprem-vllm"),
                "workload": "narratives",
                "interfaces": INTERFACES,
            },
            {
                **self.place(model="bge"),
                "workload": "vectors",
                "task": "embedding",
                "interfaces": ["batches"],
            },
            {**self.place(), "workload": "plain"},
        ]
        config = {
            "file_store": {
                **{"key": str(self.folder / "transit"), "fetched_keep_s": 0},
                **{"max_file_bytes": 1_000_000, "max_bytes": 4_000_000, "max_files": 12},
            },
            "batches": {"lease_s": 2, "max_unfinished": 2, "max_lines": 500},
            "routes": routes,
            **changes,
        }
        return super().start(**config)

    @property
    def model(self) -> Echoing:
        """The model server."""
        model = self.models[0]
        assert isinstance(model, Echoing)
        return model

    def client(self, key: str, gateway: int = 0, certificate: str = "app") -> openai.OpenAI:
        http = openai.DefaultHttpxClient(verify=self.authority.client(certificate), trust_env=False)
        return openai.OpenAI(
            base_url=self.gateways[gateway].url + "/v1", api_key=key, http_client=http, max_retries=0
        )


@contextmanager
def batched(
    folder: Path, postgres: Postgres, name: str, *models: FakeModel, data_class: str = "restricted"
) -> Any:
    """A site whose gateways the test starts."""
    with counted(folder, postgres, name, list(models), data_class) as site:
        yield Batched(**vars(site))


def let_requests_wait(site: Batched) -> None:
    """Let the first model server report a queue, and the gateway know of it."""
    site.model.metrics = "vllm:num_requests_running 9\nvllm:num_requests_waiting 3\n"
    while site.gateways[0].metric("isthmus_endpoint_waiting") == 0:
        time.sleep(0.05)


def state_of(database: GatewayDatabase, batch_id: str) -> Any:
    """The row of a batch, for what its caller can no longer ask."""
    return database.ask_database(f"SELECT * FROM isthmus.batches WHERE id = '{batch_id}'")[0]  # noqa: S608


def wait_for_end(database: GatewayDatabase, batch_id: str, seconds: float = 30) -> Any:
    """The row of a batch when it has ended."""
    end = time.monotonic() + seconds
    while (row := state_of(database, batch_id))["ended_at"] is None:
        assert time.monotonic() < end, row
        time.sleep(0.1)
    return row


def submit(client: openai.OpenAI, content: bytes, endpoint: Any = CHAT, **more: Any) -> Any:
    """Upload an input, and create a batch of it."""
    file = client.files.create(file=("input.jsonl", io.BytesIO(content)), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more)


def wait(client: openai.OpenAI, batch_id: str, *statuses: str, seconds: float = 60) -> Any:
    """Wait until the batch has one of these statuses, by default an end."""
    wanted = statuses or ("completed", "failed", "cancelled", "expired")
    end = time.monotonic() + seconds
    while (batch := client.batches.retrieve(batch_id)).status not in wanted:
        assert time.monotonic() < end, batch
        time.sleep(0.1)
    return batch


def results(client: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    """The lines of a result file."""
    assert file_id is not None
    return [json.loads(text) for text in client.files.content(file_id).text.splitlines()]
