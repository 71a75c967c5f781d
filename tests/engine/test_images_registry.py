"""Container registries that return wrong, misleading or incomplete answers, and stored credentials for them."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts import images_lock
from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.core.image_references import Reference
from isthmus.engine.images import lock_update, registry_logins
from isthmus.engine.images import registry as images_registry
from isthmus.engine.images.registry import Registries
from isthmus.engine.images.registry_logins import Logins
from tests.contracts.bank import DIGEST
from tests.registries import BASIC, OCI, sha

BODY = b'{"schemaVersion": 2}'
OTHER = "sha256:" + "cd" * 32


class Scripted(ThreadingHTTPServer):
    """Answers each request as `answer` says: status, headers, body."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answer: Callable[[str, str], tuple[int, dict[str, str], bytes]] = lambda _m, _p: (404, {}, b"")
        self.seen: list[tuple[str, str, str | None]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        server.seen.append((self.command, self.path, self.headers.get("Authorization")))
        status, headers, body = server.answer(self.command, self.path)
        self.send_response(status)
        for key, value in {"Content-Type": OCI, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.shutdown()
    scripted.server_close()


def resolve(server: Scripted, logins: Logins | None = None) -> str:
    registries = Registries(logins or Logins(), timeout_s=5)
    try:
        return registries.digest(Reference(server.host, "bank/image", "v1"))
    finally:
        registries.close()


def test_a_digest_that_does_not_match_the_content_is_refused(server):
    server.answer = lambda _m, _p: (200, {"Docker-Content-Digest": OTHER}, BODY)
    with pytest.raises(
        EnvironmentFault, match=f"announces the digest {OTHER}, but the manifest's bytes hash to {sha(BODY)}"
    ):
        resolve(server)


def test_without_a_digest_header_the_digest_is_computed_from_the_content(server):
    server.answer = lambda _m, _p: (200, {}, BODY)
    assert resolve(server) == sha(BODY)


def test_a_tag_that_moves_during_the_request_does_not_change_the_digest(server):
    server.answer = lambda _m, _p: (200, {"Docker-Content-Digest": sha(BODY)}, BODY)
    resolve(server)
    assert [(method, path) for method, path, _ in server.seen] == [
        ("HEAD", "/v2/bank/image/manifests/v1"),
        ("GET", f"/v2/bank/image/manifests/{sha(BODY)}"),
    ]


@pytest.mark.parametrize("kind", ["application/vnd.docker.distribution.manifest.v1+prettyjws", "text/html"])
def test_a_document_that_is_not_a_manifest_is_refused(server, kind: str):
    server.answer = lambda _m, _p: (200, {"Content-Type": kind}, BODY)
    with pytest.raises(EnvironmentFault, match="which is not a manifest"):
        resolve(server)


def test_an_endless_response_is_not_read_to_its_end(server):
    server.answer = lambda _m, _p: (200, {}, b"x" * (5 * 1024 * 1024))
    with pytest.raises(EnvironmentFault, match="longer than"):
        resolve(server)


@pytest.mark.parametrize("where", ["http://elsewhere.example/v2/x", "ftp://elsewhere.example/x"])
def test_a_redirect_to_plain_http_is_not_followed(server, where: str):
    server.answer = lambda _m, _p: (307, {"Location": where}, b"")
    with pytest.raises(EnvironmentFault, match="example`, which does not use TLS"):
        resolve(server)
    assert len(server.seen) == 1


def test_credentials_do_not_go_to_a_token_server_without_tls(server):
    challenge = 'Bearer realm="http://tokens.example/token",service="bank"'
    server.answer = lambda _m, _p: (401, {"WWW-Authenticate": challenge}, b"")
    with pytest.raises(EnvironmentFault, match=r"tokens\.example`, which does not use TLS"):
        resolve(server, Logins({server.host: BASIC}))
    assert [credentials for _, _, credentials in server.seen] == [None], "unasked, nobody is shown a password"


def test_a_token_does_not_follow_a_redirect_to_another_host(server):
    scripted = Scripted()
    try:
        scripted.answer = lambda _m, _p: (200, {}, BODY)

        def answer(_method: str, path: str) -> tuple[int, dict[str, str], bytes]:
            if path.startswith("/token"):
                return 200, {"Content-Type": "application/json"}, json.dumps({"access_token": "t"}).encode()
            if server.seen[-1][2] != "Bearer t":
                return 401, {"WWW-Authenticate": f'Bearer realm="http://{server.host}/token"'}, b""
            return 307, {"Location": f"http://{scripted.host}{path}"}, b""

        server.answer = answer
        assert resolve(server) == sha(BODY)
        assert {credentials for _, _, credentials in scripted.seen} == {None}
    finally:
        scripted.shutdown()
        scripted.server_close()


def test_circular_redirects_are_reported(server):
    server.answer = lambda _m, path: (302, {"Location": path}, b"")
    with pytest.raises(EnvironmentFault, match="redirected more than"):
        resolve(server)


def test_an_unreachable_registry_is_reported_with_what_to_check():
    registries = Registries(Logins(), timeout_s=2)
    with pytest.raises(
        EnvironmentFault, match=r"127\.0\.0\.1:1: the registry cannot be reached.*HTTPS_PROXY"
    ):
        registries.digest(Reference("127.0.0.1:1", "a", "v1"))
    registries.close()


@pytest.mark.parametrize(
    ("url", "place", "tls"),
    [
        ("https://registry.bank.example/llm/", "registry.bank.example/llm", {"registry.bank.example"}),
        ("registry.bank.example", "registry.bank.example", set()),
        ("http://localhost:5000", "localhost:5000", set()),
        ("https://localhost:5000", "localhost:5000", {"localhost:5000"}),
    ],
)
def test_a_mirror_may_be_given_with_or_without_a_scheme(url: str, place: str, tls: set[str]):
    assert images_registry.parse_mirror(url) == (place, frozenset(tls))


@pytest.mark.parametrize(
    "url", ["http://registry.bank.example", "ftp://localhost", "http://127.0.0.1.bank.example"]
)
def test_plain_http_is_refused_except_for_localhost(url: str):
    with pytest.raises(InputError, match="does not use TLS"):
        images_registry.parse_mirror(url)


def log_in(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> Logins:
    (folder / "config.json").write_text(text)
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return registry_logins.read_logins()


def test_credentials_are_read_as_docker_and_podman_write_them(monkeypatch, tmp_path):
    auth = base64.b64encode(b"me:se:cret").decode()
    auths = {
        "https://index.docker.io/v1/": {"auth": auth},
        "registry.bank.example:5000": {"username": "me", "password": "se:cret"},
        "https://ghcr.io": {"auth": auth},
        "empty.example": {},
        "broken.example": {"auth": "%%%"},
    }
    logins = log_in(monkeypatch, tmp_path, json.dumps({"auths": auths, "credsStore": "desktop"}))
    assert set(logins.headers) == {"docker.io", "registry.bank.example:5000", "ghcr.io"}
    assert set(logins.headers.values()) == {f"Basic {auth}"}


def test_a_broken_credentials_file_is_reported_without_its_content(monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"the registry credentials cannot be read") as caught:
        log_in(monkeypatch, tmp_path, '{"auths": {"a": {"auth": "c2VjcmV0"')
    assert "c2VjcmV0" not in str(caught.value)


def test_without_a_credentials_file_there_is_no_login(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    assert registry_logins.read_logins() == Logins()


LOCK = images_lock.load(Path(__file__).parents[2] / images_lock.FILE)


def test_an_image_that_cannot_be_resolved_does_not_stop_the_others():
    def ask(reference: Reference) -> str:
        if "kueue" in reference.name:
            raise EnvironmentFault("nobody answers", where=str(reference))
        return DIGEST

    after, outcomes = lock_update.resolve(LOCK, ["edge", "vllm"], ["kueue", "gpu-operator", "lws"], ask)
    states = {outcome.name: outcome.state for outcome in outcomes}
    assert states == {
        "edge": "failed",
        "vllm": "new",
        "kueue": "failed",
        "gpu-operator": "failed",
        "lws": "new",
    }
    reason = {outcome.name: outcome.why for outcome in outcomes}
    assert "built from this checkout" in reason["edge"]
    assert "an index, not an OCI registry" in reason["gpu-operator"]
    assert (after.images["vllm"].digest, after.charts["lws"].digest) == (DIGEST, DIGEST)
    assert after.images["edge"].digest is None


def test_with_a_mirror_every_image_is_resolved_there():
    places: list[str] = []

    def ask(reference: Reference) -> str:
        places.append(str(reference))
        return DIGEST

    lock_update.resolve(LOCK, ["edge", "vllm"], ["gpu-operator"], ask, mirror="registry.bank.example/llm")
    assert places == [
        "registry.bank.example/llm/isthmus/edge:0.1.0",
        "registry.bank.example/llm/vllm/vllm-openai:v0.33.0",
        "registry.bank.example/llm/charts/gpu-operator:v26.7.0",
    ]


@pytest.mark.parametrize("update", [False, True])
def test_a_moved_tag_changes_the_lock_only_on_update(update: bool):
    before = LOCK.with_digests({"vllm": OTHER}, {})
    after, [outcome] = lock_update.resolve(before, ["vllm"], [], lambda _: DIGEST, update=update)
    assert (outcome.state, outcome.was, outcome.now) == ("moved", OTHER, DIGEST)
    assert after.images["vllm"].digest == (DIGEST if update else OTHER)
