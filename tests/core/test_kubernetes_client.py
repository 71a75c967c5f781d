"""Responses of the API server reach the caller unchanged; failures are reported as failures."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient


class Handler(BaseHTTPRequestHandler):
    """Answers by the path: `/cut` ends in the middle, `/no` refuses, `/busy` refuses once; all else is fine."""

    requests: list[tuple[str, str, str, bytes]]
    """Method, path, content type and body of each request."""

    def answer(self) -> None:
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.requests.append((self.command, self.path, self.headers.get("Content-Type", ""), body))
        asked = sum(request[1] == self.path for request in self.requests)
        status = {"/no": 401, "/gone": 404}.get(path, 429 if path == "/busy" and asked == 1 else 200)
        text = b'{"gitVersion": "v1"}' if status == 200 else b'{"message": "who are you"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(text) + (100 if path == "/cut" else 0)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def cluster() -> Iterator[KubeClient]:
    Handler.requests = []
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield KubeClient("fra1", f"http://127.0.0.1:{server.server_port}", None)
        server.shutdown()
        thread.join(5)


def test_a_response_is_returned_as_data_and_a_refusal_keeps_its_message(cluster: KubeClient):
    assert cluster.version() == "v1"
    with pytest.raises(ApiRefusal, match=r"the API server refused GET /no \(401\): who are you"):
        cluster.call("GET", "/no")


def test_a_truncated_response_is_an_error(cluster: KubeClient):
    """As of an API server that is killed while it speaks."""
    with pytest.raises(EnvironmentFault, match="does not answer at http://127"):
        cluster.call("GET", "/cut")


def test_a_call_that_a_busy_server_refuses_is_repeated(cluster: KubeClient):
    assert cluster.get("/busy") == {"gitVersion": "v1"}
    assert len(Handler.requests) == 2


def test_a_missing_object_is_none_and_its_deletion_does_nothing(cluster: KubeClient):
    assert cluster.find("/gone") is None
    cluster.delete("/gone")
    for call in (cluster.find, cluster.delete):
        with pytest.raises(ApiRefusal):
            call("/no")


def test_an_object_is_sent_as_json_and_a_text_as_it_is(cluster: KubeClient):
    cluster.create("/pods", {"kind": "Pod"})
    cluster.apply("/pods/one", "kind: Pod\n", manager="somebody", force=False)
    assert Handler.requests == [
        ("POST", "/pods?fieldManager=isthmus", "application/json", b'{"kind": "Pod"}'),
        (
            "PATCH",
            "/pods/one?fieldManager=somebody&force=false",
            "application/apply-patch+yaml",
            b"kind: Pod\n",
        ),
    ]


def test_a_server_that_is_no_url_is_named(cluster: KubeClient):
    with pytest.raises(EnvironmentFault, match=r"the server address `10\.0\.0\.1` is not a URL"):
        KubeClient("fra1", "10.0.0.1", None).get("/version")


def test_an_unreachable_cluster_is_reported_with_context_and_address():
    with pytest.raises(EnvironmentFault, match=r"context `fra1` does not answer at http://127\.0\.0\.1:9"):
        KubeClient("fra1", "http://127.0.0.1:9", None).version()


def test_the_token_of_a_kubeconfig_user_may_be_in_a_file_beside_it(tmp_path: Path):
    def token_of(user: dict[str, str]) -> str | None:
        file = tmp_path / "config"
        config = {
            "contexts": [{"name": "fra1", "context": {"cluster": "fra1", "user": "ana"}}],
            "clusters": [{"name": "fra1", "cluster": {"server": "https://10.0.0.1:6443"}}],
            "users": [{"name": "ana", "user": user}],
        }
        file.write_text(json.dumps(config))
        return KubeClient.from_kubeconfig(file, "fra1").token

    (tmp_path / "ana.token").write_text("from-file\n")
    assert token_of({"tokenFile": "ana.token"}) == "from-file"
    assert token_of({"token": "inline", "tokenFile": "ana.token"}) == "inline"
    assert token_of({}) is None
    with pytest.raises(EnvironmentFault, match="the credentials of context `fra1` cannot be used"):
        token_of({"tokenFile": "missing.token"})
