"""The ways to stop a workload that need no running gateway: the file of stops, a Secret of a cluster."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edge.stops.file import read_stops
from isthmus.core.errors import EnvironmentFault, InputError, Refused
from isthmus.core.kubernetes_client import KubeClient
from isthmus.engine.stopping import stops_file
from isthmus.engine.stopping.access import local_access, read_access
from isthmus.engine.stopping.ways import Act, FileWay, SecretWay
from sandbox.local.serving import Desk, Door, Platform

NOW = datetime(2026, 12, 1, 2, 10, tzinfo=UTC)
STOP = Act("claims", "wrong-answers", "Call 4711.")
RESTART = Act("claims", "restart", "", restart=True)


def test_the_gateway_reads_what_the_command_writes(tmp_path: Path):
    file = tmp_path / "stops.yaml"
    assert FileWay(file, "ann").do(STOP).outcome == "stopped"
    (stop,) = read_stops(file)
    assert (stop.workload, stop.message, stop.by, stop.is_over) == ("claims", "Call 4711.", "ann", False)
    assert FileWay(file, "bob").do(RESTART).outcome == "asked"
    assert not read_stops(file)[0].is_over
    with pytest.raises(Refused, match="bob has asked for the restart already"):
        FileWay(file, "bob").do(RESTART)
    assert FileWay(file, "ann").do(RESTART).outcome == "restarted"
    assert read_stops(file)[0].is_over
    with pytest.raises(Refused, match="it is not stopped"):
        FileWay(file, "bob").do(RESTART)
    assert FileWay(file, "ann").do(STOP).outcome == "stopped", "a stop that is over begins anew"
    assert not read_stops(file)[0].is_over


def test_a_second_stop_keeps_the_message_and_takes_questions_for_a_restart_back():
    text, _ = stops_file.stopped("", "claims", "fire", "Call 4711.", "ann", NOW)
    text, _ = stops_file.stopped(text, "fraud", "fire", "", "ann", NOW)
    text, _ = stops_file.restart_asked(text, "claims", "ann")
    text, outcome = stops_file.stopped(text, "claims", "abuse", "", "bob", NOW)
    assert (outcome, "Call 4711." in text, "restart" in text) == ("already", True, False)
    assert "fraud" in text


def test_a_malformed_file_is_told_and_left_as_it_is(tmp_path: Path):
    file = tmp_path / "stops.yaml"
    file.write_text("stops: [{workload: claims}]\n")
    with pytest.raises(InputError, match="the file of stops is malformed"):
        FileWay(file, "ann").do(STOP)
    assert file.read_text() == "stops: [{workload: claims}]\n"


class Cluster(ThreadingHTTPServer):
    """As much of an API server as a Secret needs."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Api)
        self.person, self.version, self.refuses = "ann@bank.example", 1, 0
        self.data = {"callers.yaml": "Y2FsbGVyczogW10K"}
        self.pods: dict[str, Any] = {"public-gateway-a": None, "public-gateway-b": None}


class _Api(BaseHTTPRequestHandler):
    server: Cluster  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        if "/pods?" in self.path:
            assert self.path.endswith("?labelSelector=isthmus.dev%2Frole%3Dgateway")
            self._send({"items": [{"metadata": {"name": name}} for name in self.server.pods]})
            return
        self._send({"metadata": {"resourceVersion": str(self.server.version)}, "data": self.server.data})

    def do_POST(self) -> None:
        self._body()
        assert self.path.startswith("/apis/authentication.k8s.io/v1/selfsubjectreviews")
        self._send({"status": {"userInfo": {"username": self.server.person}}})

    def do_PATCH(self) -> None:
        body = self._body()
        if self.server.refuses:
            self._send({"message": "no"}, self.server.refuses)
            return
        if "/pods/" in self.path:
            self.server.pods[self.path.rpartition("/")[2]] = body["metadata"]["annotations"]
            self._send({})
            return
        assert body["metadata"]["resourceVersion"] == str(self.server.version)
        self.server.version += 1
        self.server.data |= body["data"]
        self._send({})

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def _send(self, body: Any, status: int = 200) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    server = Cluster()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_stop_in_a_secret_bears_the_name_that_the_cluster_knows_and_keeps_the_callers(
    cluster: Cluster, tmp_path: Path
):
    with KubeClient("fra1", f"http://127.0.0.1:{cluster.server_address[1]}", None) as client:
        way = SecretWay(client, "isthmus-public", "public-callers", "stops.yaml", "isthmus.dev/role=gateway")
        done = way.do(STOP)
        assert (done.outcome, done.woken) == ("stopped", 2)
        assert all(cluster.pods.values()), "kubelet reads the Secret at once when an annotation changes"
        assert set(cluster.data) == {"callers.yaml", "stops.yaml"}
        file = tmp_path / "stops.yaml"
        file.write_bytes(base64.b64decode(cluster.data["stops.yaml"]))
        assert read_stops(file)[0].by == "ann@bank.example"
        assert way.do(RESTART).outcome == "asked"
        cluster.person = "bob@bank.example"
        assert way.do(RESTART).outcome == "restarted"
        cluster.refuses = 403
        with pytest.raises(EnvironmentFault, match="refuses to change the Secret"):
            way.do(STOP)


def test_paths_of_the_access_file_count_from_its_folder(tmp_path: Path):
    file = tmp_path / "stop.yaml"
    file.write_text(
        "desks:\n"
        "  - {class: confidential, site: fra1, url: 'https://d:1', certificate: me.crt, certificate_key: me.key}\n"
        "databases:\n"
        "  - {class: internal, site: fra1, file: database.yaml}\n"
    )
    access = read_access(file)
    assert access.desks["confidential", "fra1"].certificate == tmp_path / "me.crt"
    assert access.databases["internal", "fra1"] == tmp_path / "database.yaml"


def test_in_the_sandbox_a_senior_has_a_certificate_a_database_user_and_the_files_of_stops():
    door = Door(
        "internal", "fra1", "https://a", ["x"], {}, "", "", "", databases={"reviewer-three": "/d.yaml"}
    )
    public = Door("public", "fra1", "https://b", ["y"], {}, "", "", "", stops="/stops.yaml")
    platform = Platform("bank", "/local", [door, public], [Desk("internal", "fra1", "https://c")], [], 9)
    access = local_access(platform, "reviewer-three")
    assert access.desks["internal", "fra1"].certificate == Path("/local/reviewer-three.crt")
    assert access.databases == {("internal", "fra1"): Path("/d.yaml")}
    assert access.files == {("public", "fra1"): Path("/stops.yaml")}
    with pytest.raises(InputError, match="`reviewer-one` may not stop a workload in the sandbox"):
        local_access(platform, "reviewer-one")
