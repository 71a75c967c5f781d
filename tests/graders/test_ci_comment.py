"""The scripts of docs/ci/, against servers of our own that answer as GitHub and GitLab document it."""

from __future__ import annotations

import importlib.util
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

CI = Path(__file__).parents[2] / "docs" / "ci"
SHA = "4f2c1d9ab0e377554f2c1d9ab0e377554f2c1d9a"


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"ci_{name}", CI / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module_from_spec = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module_from_spec)
    return module_from_spec


comment = script("comment")


class Server:
    """Answers by path, and what was written to it."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.written: list[tuple[str, str, str]] = []
        self.sent_on: list[str | None] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.split("per_page")[0].rstrip("?&")
                answer = owner.answers.get(path)
                if path == "/elsewhere":
                    owner.sent_on.append(
                        self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN")
                    )
                elif not (self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN")):
                    self.send_error(401)
                    return
                if answer is None:
                    self.send_error(404)
                    return
                if isinstance(answer, str):
                    self.send_response(302)
                    self.send_header("Location", answer)
                    self.end_headers()
                    return
                self.send_response(200)
                self.end_headers()
                self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

            def _write(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                owner.written.append((self.command, self.path, content["body"]))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

            do_POST = do_PATCH = do_PUT = _write

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    fake_server = Server()
    yield fake_server
    fake_server.close()


def packed(name: str, text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr(name, text)
    return file.getvalue()


def on_github(server: Server, **run: Any) -> dict[str, str]:
    """A run of a fork's branch, one pull request of it, and the artifact at another address."""
    owner = {"login": "somebody"}
    repo = "/repos/bank/estate"
    server.answers = {
        f"{repo}/actions/runs/7": {
            "id": 7,
            "event": "pull_request",
            "conclusion": "success",
            "head_sha": SHA,
            "head_branch": "a/b&state=closed",
            "head_repository": {"owner": owner},
            "html_url": "https://github.example/run/7",
            **run,
        },
        f"{repo}/pulls?state=open&head=somebody%3Aa%2Fb%26state%3Dclosed": [
            {"number": 12, "head": {"sha": SHA}}
        ],
        f"{repo}/actions/runs/7/artifacts?name=preview": {"artifacts": [{"id": 9, "expired": False}]},
        f"{repo}/actions/artifacts/9/zip": f"{server.url}/elsewhere",
        "/elsewhere": packed("preview.md", "## bank-dev\nREFUSED"),
        f"{repo}/issues/12/comments": [
            {"id": 1, "user": {"login": "mallory"}, "body": f"{comment.MARK} mine"},
            {"id": 2, "user": {"login": "github-actions[bot]"}, "body": "another"},
        ],
    }
    return {"GITHUB_API_URL": server.url, "GITHUB_REPOSITORY": "bank/estate", "GITHUB_TOKEN": "t", "RUN": "7"}


def test_the_first_preview_of_a_pull_request_is_a_comment_and_a_later_one_changes_it(server: Server) -> None:
    env = on_github(server)
    assert comment.github(env) == ["#12"]
    ((method, path, body),) = server.written
    assert (method, path) == ("POST", "/repos/bank/estate/issues/12/comments")
    assert body.startswith(comment.MARK)
    assert "REFUSED" in body
    assert f"`{SHA[:12]}`" in body
    server.answers["/repos/bank/estate/issues/12/comments"] += [
        {"id": 3, "user": {"login": "github-actions[bot]"}, "body": body}
    ]
    comment.github(env)
    assert server.written[1][:2] == ("PATCH", "/repos/bank/estate/issues/comments/3")


def test_the_token_stays_with_the_server_when_an_artifact_lies_elsewhere(server: Server) -> None:
    comment.github(on_github(server))
    assert server.sent_on == [None]
    with pytest.raises(SystemExit, match="without TLS"):
        comment.Api("http://github.example", ("Authorization", "x"))


def test_a_preview_of_an_outdated_commit_is_not_commented(server: Server) -> None:
    env = on_github(server)
    server.answers["/repos/bank/estate/pulls?state=open&head=somebody%3Aa%2Fb%26state%3Dclosed"][0]["head"][
        "sha"
    ] = "x"
    assert comment.github(env) == []
    assert server.written == []


def test_a_run_that_is_not_a_pull_requests_writes_nothing(server: Server) -> None:
    with pytest.raises(SystemExit, match="not of a pull request"):
        comment.github(on_github(server, event="push"))
    assert server.written == []


@pytest.mark.parametrize("artifact", [None, b"no zip", packed("other.md", "x")])
def test_a_run_without_a_preview_is_never_a_green_comment(server: Server, artifact: bytes | None) -> None:
    env = on_github(server, conclusion="failure")
    server.answers["/elsewhere"] = artifact
    if artifact is None:
        server.answers["/repos/bank/estate/actions/runs/7/artifacts?name=preview"] = {"artifacts": []}
    comment.github(env)
    body = server.written[0][2]
    assert "**There is no preview.**" in body
    assert "The run ended with: failure" in body


def test_a_preview_that_is_too_long_or_packed_to_burst_is_cut(server: Server) -> None:
    env = on_github(server)
    server.answers["/elsewhere"] = packed("preview.md", "🏦" * 1_000_000)
    comment.github(env)
    body = server.written[0][2]
    assert len(body) < 65_536
    assert "Cut here" in body
    assert "\u202e" not in comment.body("a\u202eb\x00", "success", SHA, "https://x")


def on_gitlab(server: Server, **pipeline: Any) -> dict[str, str]:
    project = "/projects/platform%2Festate"
    server.answers = {
        "/user": {"id": 5},
        f"{project}/merge_requests?state=opened": [{"iid": 3, "target_project_id": 1}],
        f"{project}/merge_requests/3/pipelines": [
            {
                "id": 8,
                "project_id": 1,
                "source": "merge_request_event",
                "status": "success",
                "sha": SHA,
                **pipeline,
            }
        ],
        f"{project}/pipelines/8/jobs": [
            {"id": 4, "name": "render", "status": "success", "web_url": "https://g/4"}
        ],
        f"{project}/jobs/4/artifacts/preview.md": b"## bank-dev\nREFUSED",
        f"{project}/merge_requests/3/notes": [{"id": 1, "author": {"id": 6}, "body": f"{comment.MARK} mine"}],
    }
    return {"CI_API_V4_URL": server.url, "PROJECT": "platform/estate", "ISTHMUS_COMMENT_TOKEN": "t"}


def test_gitlab_gets_one_note_that_is_updated_only_on_changes(server: Server) -> None:
    env = on_gitlab(server)
    notes = "/projects/platform%2Festate/merge_requests/3/notes"
    assert comment.gitlab(env) == ["!3"]
    ((method, path, body),) = server.written
    assert (method, path) == ("POST", notes)
    server.answers[notes].append({"id": 2, "author": {"id": 5}, "body": body})
    assert comment.gitlab(env) == []
    server.answers["/projects/platform%2Festate/jobs/4/artifacts/preview.md"] = b"UNCHANGED"
    comment.gitlab(env)
    assert server.written[-1][:2] == ("PUT", f"{notes}/2")


@pytest.mark.parametrize("other_pipeline", [{"status": "running"}, {"project_id": 77}, {"source": "push"}])
def test_a_running_or_foreign_pipeline_is_not_commented(server: Server, other_pipeline: Any) -> None:
    assert comment.gitlab(on_gitlab(server, **other_pipeline)) == []
    assert server.written == []


def test_only_a_complete_preview_has_a_digest_that_can_be_approved(tmp_path: Path) -> None:
    digest, file = script("digest"), tmp_path / "preview.json"

    def digest_line(content: Any) -> str:
        file.write_text(json.dumps(content))
        return digest.main(str(file))

    complete = {"status": "complete", "digest": "sha256:" + "ab" * 32}
    assert digest_line(complete) == digest_line([complete]) == f"digest={complete['digest']}"
    for spoilt in ({"status": "partial"}, {"status": "failed"}, {"digest": ""}, {"digest": "x\nother=1"}):
        with pytest.raises(SystemExit):
            digest_line({**complete, **spoilt})
