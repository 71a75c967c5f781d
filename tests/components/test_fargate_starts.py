"""The edge's entrypoint, run with exactly what a task definition gives it: is that enough, and is it right?

No task is run on Fargate. Edge and translator run as processes of this machine with the definition's command, its
variables, and its secrets as ECS would fill them in; the load balancer's name is this machine's. Bedrock is the tests'
own, and so is the service by which ECS gives a task its role's credentials.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock

from components.gateway.fargate.gateway import FargateGateway, translator_host
from tests.components.conftest import Engine
from tests.components.fargate import HOST, gateway_args, secret
from tests.edge.certificates import Authority
from tests.edge.fake_bedrock import WORDS, FakeBedrock
from tests.edge.processes import ROOT

pytestmark = pytest.mark.service
KEY = "key-of-claims"
PYTHON = {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
"""What the image itself sets (`edge/Containerfile`)."""


class TaskRole(HTTPServer):
    """ECS's credentials endpoint, and who asked it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Credentials)
        self.asked: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Credentials(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        body = json.dumps(
            {"AccessKeyId": "ASIATASK", "SecretAccessKey": "s", "Token": "t", "Expiration": end}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _vault(authority: Authority) -> dict[str, str]:
    """The secrets as the organisation would have put them into Secrets Manager, by ARN."""

    def tls(name: str) -> str:
        files = {"certificate": f"{name}.crt", "key": f"{name}.key", "ca": "ca.crt"}
        return json.dumps({part: (authority.folder / file).read_text() for part, file in files.items()})

    digest = hashlib.sha256(KEY.encode()).hexdigest()
    return {
        secret("internal-gateway-tls"): tls("gateway"),
        secret("internal-translator-tls"): tls("translator"),
        secret("internal-callers"): f"callers:\n  - {{key_sha256: {digest}, workload: claims}}\n",
    }


def _filled_in(vault: dict[str, str], value_from: str) -> str:
    """As ECS reads `valueFrom`: a secret's ARN, or with the name of one part of its JSON."""
    pieces = value_from.split(":")
    if len(pieces) == 7:
        return vault[value_from]
    arn, part = ":".join(pieces[:7]), pieces[7]
    assert pieces[8:] == ["", ""], "neither a version's stage nor its id"
    return json.loads(vault[arn])[part]


@dataclass
class Running:
    """One container's process."""

    process: subprocess.Popen[str]
    environment: dict[str, str]
    health: list[str]
    output: Path

    def healthy(self) -> bool:
        """By the definition's own health check."""
        assert self.process.poll() is None, self.output.read_text()
        assert self.health[0] == "CMD"
        done = subprocess.run(
            self.health[1:], env=self.environment, capture_output=True, text=True, check=False
        )
        return done.returncode == 0


@contextmanager
def running(definition: str, vault: dict[str, str], more: dict[str, str], folder: Path) -> Iterator[Running]:
    (box,) = json.loads(definition)
    environment = {variable["name"]: variable["value"] for variable in box["environment"]}
    environment |= {variable["name"]: _filled_in(vault, variable["valueFrom"]) for variable in box["secrets"]}
    environment |= {**PYTHON, **more}
    output = folder / f"{box['name']}.log"
    with output.open("w") as stream:
        process = subprocess.Popen(
            [*box["entryPoint"], *box["command"]],
            cwd="/",
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield Running(process, environment, box["healthCheck"]["command"], output)
    finally:
        process.terminate()
        process.wait(30)


def test_a_task_definition_is_all_that_edge_and_translator_need_to_serve(engine: Engine, tmp_path: Path):
    authority = Authority(tmp_path / "ca")
    authority.issue("gateway", HOST)
    authority.issue("translator", translator_host(HOST, "internal"))
    authority.issue("app", "app.insurer.internal")
    vault, bedrock, role = _vault(authority), FakeBedrock(), TaskRole()
    model = {**gateway_args()["models"][0], "endpoint_url": bedrock.url}
    engine.deploy(FargateGateway, "gw", gateway_args(models=[model]))
    edge, translator = (
        engine.only("TaskDefinition", f"gw-{task}-task").inputs["containerDefinitions"]
        for task in ("edge", "translator")
    )
    # ECS tells a task where its role's credentials are; the image says where a temporary folder is.
    credentials = f"http://127.0.0.1:{role.server_port}/v2/credentials/task"
    behind = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": credentials, "TMPDIR": "/dev/shm"}
    # The ports are the definitions' own: one run at a time on this machine.
    with (
        FileLock(Path(tempfile.gettempdir()) / "isthmus-fargate-ports.lock"),
        running(translator, vault, behind, tmp_path) as second,
        running(edge, vault, {}, tmp_path) as first,
    ):
        end = time.monotonic() + 180
        while not (first.healthy() and second.healthy()):
            assert time.monotonic() < end, first.output.read_text() + second.output.read_text()
            time.sleep(0.2)
        with httpx.Client(
            base_url="https://127.0.0.1:8443",
            verify=authority.client("app"),
            trust_env=False,
            timeout=60,
        ) as client:
            request = {"model": "claims", "messages": [{"role": "user", "content": "Is hail covered?"}]}
            path = "/v1/chat/completions"
            answer = client.post(path, json=request, headers={"authorization": f"Bearer {KEY}"})
            assert answer.status_code == 200, answer.text + second.output.read_text()
            assert answer.json()["choices"][0]["message"]["content"] == "".join(WORDS)
            wrong = client.post(path, json=request, headers={"authorization": "Bearer another"})
            assert wrong.status_code == 401
        with (
            httpx.Client(verify=authority.client(None), trust_env=False) as stranger,
            pytest.raises(httpx.TransportError),
        ):
            stranger.get("https://127.0.0.1:8443/v1/models")
    assert role.asked == ["/v2/credentials/task"], "by the task's role and nothing else"
    assert "ASIATASK" in str(bedrock.requests)
    assert "AWS_" not in json.dumps(first.environment), "the edge is told nothing of AWS"
    role.shutdown()
    bedrock.shutdown()
    role.server_close()
    bedrock.server_close()
