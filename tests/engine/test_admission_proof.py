"""The check that admission refuses forbidden pods, against a server whose answers the test chooses."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from isthmus.core.errors import EnvironmentFault, Refused
from isthmus.core.kubernetes_client import KubeClient
from isthmus.engine.kubernetes import admission_proof

OURS = (
    "pods \"isthmus-proof\" is forbidden: ValidatingAdmissionPolicy 'isthmus-restricted-pods' denied request"
)


class Api(BaseHTTPRequestHandler):
    answers: ClassVar[list[tuple[int, str]]] = []
    """Status and message for each request in turn; the last one stays."""
    asked: ClassVar[list[tuple[str, dict]]] = []

    def do_PATCH(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, json.loads(body)))
        status, message = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"message": message}).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest's output is for tests."""


@pytest.fixture
def server():
    Api.asked = []
    httpserver = HTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=httpserver.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield KubeClient("fra1", f"http://127.0.0.1:{httpserver.server_port}", None)
    httpserver.shutdown()
    thread.join()
    httpserver.server_close()


def prove(server, patience: float = 0.5):
    return admission_proof.prove(server, "isthmus-restricted", "registry.example/", patience=patience)


def test_every_dry_run_must_be_refused_by_an_isthmus_policy(server):
    Api.answers = [(422, OURS)]
    assert len(prove(server).refusals) == 9
    assert len({path for path, _ in Api.asked}) == 7, (
        "a policy for each kind, each of which takes force alone"
    )
    for path, body in Api.asked:
        assert path.endswith("?dryRun=All"), "nothing may be created"
        if path.partition("?")[0].endswith("/pods"):
            assert body["spec"]["securityContext"]["runAsNonRoot"], "Pod Security would refuse it first"


def test_every_admission_policy_has_a_dry_run():
    from isthmus.contracts.reference.admission import admission_policies

    tried = {trial.what for trial in admission_proof.build_trials("isthmus-restricted", "registry.example/")}
    # Pods are tried twice: for credentials and for images.
    assert len(tried) == len(admission_policies(["registry.example/"])) + 1, "a policy is not tried"


def test_a_kind_that_the_cluster_does_not_serve_is_skipped(server):
    Api.answers = [*[(422, OURS)] * 6, (404, "the server could not find it"), (404, "nor this"), (422, OURS)]
    assert len(prove(server).refusals) == 7


def test_a_policy_that_takes_effect_after_a_moment_is_accepted(server):
    Api.answers = [(201, ""), (201, ""), (422, OURS)]
    assert prove(server, patience=5).refusals


def test_a_forbidden_pod_that_is_accepted_stops_the_run_and_names_the_namespace(server):
    Api.answers = [(201, "")]
    with pytest.raises(Refused, match=r"accepted in a dry run.*isthmus-restricted"):
        prove(server)


def test_a_refusal_by_another_policy_does_not_prove_admission(server):
    Api.answers = [(403, "exceeded quota: isthmus")]
    with pytest.raises(Refused, match="exceeded quota"):
        prove(server)


def test_an_admitted_foreign_image_is_found_even_if_credentials_are_refused(server):
    Api.answers = [(422, OURS), (201, "")]
    with pytest.raises(Refused, match="registry that is not allowed"):
        prove(server)


def test_a_cluster_that_does_not_answer_is_an_environment_fault():
    with pytest.raises(EnvironmentFault, match=r"`gone`.*127\.0\.0\.1:9"):
        KubeClient("gone", "http://127.0.0.1:9", None).version()
