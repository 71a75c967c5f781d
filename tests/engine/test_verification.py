"""A prompt through a gateway: what is made of each answer, and how gateways are named in a file."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from isthmus.core.errors import InputError
from isthmus.engine.verification import access, prompts
from isthmus.engine.verification.access import GatewayAccess, Reviewer
from isthmus.engine.verification.prompts import Verified

pytestmark = pytest.mark.whole

ANSWER = {"model": "m", "choices": [{"message": {"content": "Good day."}}]}
ID = "8f" * 16


class World:
    """A gateway and a review service that answer as they are told, and what they were asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, Any]] = []
        self.url = ""


@pytest.fixture
def world() -> Iterator[World]:
    told = World()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            told.asked.append((self.path, self.headers.get("authorization", ""), body))
            status, answer = told.answers.get(self.path, (404, {}))
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("x-request-id", ID)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def gateway(url: str, folder: Path, **more: Any) -> GatewayAccess:
    key = folder / "key"
    key.write_text("isk_secret\n")
    return GatewayAccess(data_class="internal", site="fra1", url=url, workload="help", key=key, **more)


def asked(world: World, folder: Path, **more: Any) -> Verified:
    return prompts.send_prompt(gateway(world.url, folder, **more), "Good day?")


def test_an_answer_is_shown_with_the_request_it_belongs_to(world: World, tmp_path: Path):
    world.answers["/v1/chat/completions"] = (200, ANSWER)
    found = asked(world, tmp_path)
    assert (found.outcome, found.text, found.request_id, found.well) == ("answered", "Good day.", ID, True)
    [(_, authorization, body)] = world.asked
    assert authorization == "Bearer isk_secret"
    assert (body["model"], body["messages"]) == ("help", [{"role": "user", "content": "Good day?"}])


def test_a_workload_that_embeds_is_asked_for_a_vector(world: World, tmp_path: Path):
    vectors = {"model": "e5", "data": [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}]}
    world.answers["/v1/embeddings"] = (200, vectors)
    found = asked(world, tmp_path, task="embedding")
    assert (found.outcome, found.text, found.well) == ("answered", "a vector of 2 numbers", True)
    [(_, _, body)] = world.asked
    assert body == {"model": "help", "input": "Good day?"}


def test_a_rule_that_refuses_is_an_answer_of_the_gateway(world: World, tmp_path: Path):
    refusal = {"error": {"message": "The guard 'attacks' blocks this request.", "code": "content_blocked"}}
    world.answers["/v1/chat/completions"] = (400, refusal)
    found = asked(world, tmp_path)
    assert (found.outcome, found.well) == ("refused", True)
    assert "attacks" in found.text


@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_an_error_is_no_answer(world: World, tmp_path: Path, status: int):
    world.answers["/v1/chat/completions"] = (status, {"error": {"message": "No.", "code": "some"}})
    found = asked(world, tmp_path)
    assert (found.outcome, found.well, found.text) == ("missing", False, f"{status}: No.")


def test_a_gateway_that_does_not_listen_is_no_answer(tmp_path: Path):
    found = prompts.send_prompt(gateway("http://127.0.0.1:1", tmp_path), "Good day?")
    assert (found.outcome, found.well) == ("missing", False)
    assert "http://127.0.0.1:1" in found.text


def test_a_held_answer_stays_held_without_reviewers(world: World, tmp_path: Path):
    world.answers["/v1/chat/completions"] = (202, {"status": "held", "decide_by": "2026-12-01T00:00:00Z"})
    found = asked(world, tmp_path)
    assert (found.outcome, found.well) == ("held", True)
    assert "2026-12-01" in found.text


def test_reviewers_approve_a_held_answer_one_after_the_other_until_it_is_given(world: World, tmp_path: Path):
    world.answers |= {
        "/v1/chat/completions": (202, {"status": "held"}),
        f"/v1/reviews/{ID}/claim": (200, {"version": 3, "sha256": "ab"}),
        f"/v1/reviews/{ID}/approve": (200, {"status": "approved"}),
        f"/v1/reviews/{ID}": (200, ANSWER),
    }
    found = asked(world, tmp_path, reviewers=[Reviewer(url=world.url), Reviewer(url=world.url)])
    assert (found.outcome, found.text) == ("approved", "Good day.")
    assert [body for path, _, body in world.asked if path.endswith("approve")] == [
        {"version": 3, "sha256": "ab"}
    ]


def test_a_record_that_is_not_sealed_is_a_fault(world: World, tmp_path: Path):
    world.answers["/v1/chat/completions"] = (200, ANSWER)
    record = access.RecordAccess(store=str(tmp_path), public_key=tmp_path / "sealer.pem")
    assert not asked(world, tmp_path, record=record).well


FILE = """gateways:
  - class: restricted
    site: fra1
    url: https://gateway.example:8443
    workload: narratives
    key: keys/narratives
    ca: /etc/ca.crt
    record: {store: "s3://records/restricted", public_key: sealer.pem}
"""


def test_paths_in_the_file_count_from_its_folder(tmp_path: Path):
    file = tmp_path / "gateways.yaml"
    file.write_text(FILE)
    [read] = access.read_access(file)
    assert read.key == tmp_path / "keys" / "narratives"
    assert read.ca == Path("/etc/ca.crt")
    assert read.record is not None
    assert read.record.public_key == tmp_path / "sealer.pem"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("workload: narratives", "workloads: [narratives]", "workload"),
        ("class: restricted", "class: secret", "class"),
        ("gateways:", "gates:", "gateways"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, before: str, after: str, message: str):
    file = tmp_path / "gateways.yaml"
    file.write_text(FILE.replace(before, after))
    with pytest.raises(InputError) as caught:
        access.read_access(file)
    assert message in str(caught.value)


def test_a_key_that_cannot_be_read_is_named(world: World, tmp_path: Path):
    entry = gateway(world.url, tmp_path).model_copy(update={"key": tmp_path / "none"})
    with pytest.raises(InputError, match="none"):
        prompts.send_prompt(entry, "Good day?")
