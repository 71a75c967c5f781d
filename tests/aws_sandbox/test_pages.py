"""What is served without a model of botocore: which requests are meant, and what goes on."""

from __future__ import annotations

import io
import json
from typing import Any

from sandbox.aws.pages import Page, PageRequest, Pages
from sandbox.aws.service_frame import Refused

SIGNED = (
    "AWS4-X509-RSA-SHA256 Credential=17/20260101/eu-central-1/rolesanywhere/aws4_request, SignedHeaders=host"
)


def behind(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"moto"]


def ask(
    requests: list[PageRequest], path: str, host: str = "127.0.0.1:4566", signed: str = SIGNED
) -> tuple[str, bytes]:
    def answer(got: PageRequest) -> tuple[int, Any]:
        requests.append(got)
        if got.body == b"{}":
            raise Refused("ValidationException", 400, "nothing asked")
        return 201, got.json()

    pages = Pages(
        (
            Page("sessions", "POST", "/sessions", answer, signed_for="rolesanywhere"),
            Page("models", "POST", "/isthmus/models", answer),
        ),
        behind,
        "123456789012",
    )
    lines: list[str] = []
    body = b'{"a": 1}' if "empty" not in path else b"{}"
    body = b"[" if "broken" in path else body
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_HOST": host,
        "HTTP_AUTHORIZATION": signed,
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/json",
        "wsgi.input": io.BytesIO(body),
    }
    answered = b"".join(pages(environ, lambda status, headers: lines.append(status)))
    return lines[0], answered


def test_a_page_gets_the_request_as_it_came() -> None:
    requests: list[PageRequest] = []
    status, body = ask(requests, "/sessions?roleArn=a%2Fb")
    assert status.startswith("201")
    assert json.loads(body) == {"a": 1}
    [got] = requests
    assert (got.method, got.path, got.query, got.account) == (
        "POST",
        "/sessions",
        "roleArn=a%2Fb",
        "123456789012",
    )
    assert got.headers["content-type"] == "application/json"
    assert got.headers["authorization"] == SIGNED


def test_the_same_path_of_another_service_goes_on() -> None:
    requests: list[PageRequest] = []
    assert ask(requests, "/sessions", signed=SIGNED.replace("rolesanywhere", "athena"))[1] == b"moto"
    assert ask(requests, "/sessions", signed="")[1] == b"moto"
    assert ask(requests, "/session")[1] == b"moto"
    assert requests == []


def test_a_refusal_bears_its_code_and_words() -> None:
    status, body = ask([], "/sessions?empty")
    assert status.startswith("400")
    assert json.loads(body) == {"message": "nothing asked"}
    status, body = ask([], "/sessions?broken")
    assert status.startswith("400")
    assert "not JSON" in json.loads(body)["message"]


def test_the_sandbox_s_own_addresses_are_for_this_machine_only() -> None:
    requests: list[PageRequest] = []
    assert ask(requests, "/isthmus/models", signed="")[0].startswith("201")
    assert ask(requests, "/isthmus/models", host="evil.example", signed="")[0].startswith("403")
    assert len(requests) == 1
