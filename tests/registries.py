"""Registries for tests: the reference implementation as a process of its own, and a server that issues its tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.edge.processes import free_port

USER, PASSWORD = "isthmus", "a-dummy"
HTPASSWD = f"{USER}:$2a$05$EsXUOFA5xO8q9yu4OC3nL.6mTy4xcf8r9gqjT7T71Qjp2/g3tSk/K\n"
"""bcrypt of the dummy password."""
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@contextmanager
def served(program: Path, folder: Path, content: Path, auth: dict[str, Any] | None = None) -> Iterator[str]:
    """A registry on this machine over the content of a folder; gives `127.0.0.1:PORT`."""
    folder.mkdir()
    host = f"127.0.0.1:{free_port()}"
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(content)}},
        "http": {"addr": host, "secret": "a-dummy"},
        **({"auth": auth} if auth else {}),
    }
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(program), "serve", str(folder / "config.yml")],
            stdout=log,
            stderr=log,
            env={"OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        for _ in range(300):
            try:
                httpx.get(f"http://{host}/v2/", trust_env=False)
                break
            except httpx.HTTPError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
        yield host
    finally:
        process.terminate()
        process.wait(20)


def push(host: str, name: str, tag: str, content: str, *, index: bool = False) -> str:
    """Push an image (or an index of one) whose configuration holds `words`; returns the tag's digest."""
    with httpx.Client(base_url=f"http://{host}", trust_env=False) as client:
        config = json.dumps({"architecture": "amd64", "os": "linux", "words": content}).encode()
        upload = client.post(f"/v2/{name}/blobs/uploads/").headers["location"]
        client.put(upload, params={**parse(upload), "digest": sha(config)}, content=config).raise_for_status()
        part = {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": sha(config),
            "size": len(config),
        }
        body = json.dumps({"schemaVersion": 2, "mediaType": OCI, "config": part, "layers": []}).encode()
        kind, reference = OCI, sha(body) if index else tag
        client.put(
            f"/v2/{name}/manifests/{reference}", content=body, headers={"Content-Type": kind}
        ).raise_for_status()
        if index:
            descriptor = {"mediaType": OCI, "digest": sha(body), "size": len(body)}
            platform = {"architecture": "amd64", "os": "linux"}
            body = json.dumps(
                {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**descriptor, "platform": platform}]}
            ).encode()
            client.put(
                f"/v2/{name}/manifests/{tag}", content=body, headers={"Content-Type": INDEX}
            ).raise_for_status()
    return sha(body)


def parse(url: str) -> dict[str, str]:
    """The query that a registry wants back."""
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}


@dataclass
class TokenServer:
    """Issues tokens for pulling: to anybody, or (`closed`) to who logs in with the dummy credentials."""

    folder: Path
    closed: bool = False

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.asked: list[tuple[str, str | None]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse(self.path)
                authorization = self.headers.get("Authorization")
                owner.asked.append((query.get("scope", ""), authorization))
                allowed = authorization == BASIC or (authorization is None and not owner.closed)
                body = json.dumps({"token": owner.token(query)}).encode() if allowed else b"{}"
                self.send_response(200 if allowed else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        numbers = self.key.public_key().public_numbers()
        jwk = {
            **{"kty": "EC", "crv": "P-256", "kid": "test", "alg": "ES256", "use": "sig"},
            **{"x": _b64(numbers.x.to_bytes(32)), "y": _b64(numbers.y.to_bytes(32))},
        }
        (self.folder / "jwks.json").write_text(json.dumps({"keys": [jwk]}))

    @property
    def auth(self) -> dict[str, Any]:
        """The registry's `auth` setting."""
        realm = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        jwks = str(self.folder / "jwks.json")
        return {"token": {"realm": realm, "service": "bank", "issuer": "test", "jwks": jwks}}

    def token(self, query: dict[str, str]) -> str:
        kind, name, actions = query["scope"].split(":")
        now = int(time.time())
        claims = {
            **{"iss": "test", "sub": "", "aud": query["service"], "jti": "1"},
            **{"nbf": now - 10, "iat": now, "exp": now + 300},
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
        }
        head = {"typ": "JWT", "alg": "ES256", "kid": "test"}
        signed = ".".join(_b64(json.dumps(part).encode()) for part in (head, claims))
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_b64(r.to_bytes(32) + s.to_bytes(32))}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
