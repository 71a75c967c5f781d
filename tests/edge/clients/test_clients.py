"""Unmodified clients of applications, each in its own environment, against the running gateway.

`make graders` installs them (`python -m tests.edge.clients.install`). `tests/edge/test_openai_client.py` tests
OpenAI's Python client.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.edge.clients import install
from tests.edge.clients.helpful import VECTOR, Helpful
from tests.edge.counted import Counted, counted
from tests.edge.fake_model import WORDS
from tests.edge.postgres import Postgres

pytestmark = pytest.mark.service

PROGRAMS = Path(__file__).with_name("programs")
TEXT = "".join(WORDS)
RATE = "0.97 in Bern"


@pytest.fixture(scope="module")
def gateway(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    """A gateway of class public, because these clients send a key and no certificate."""
    with counted(tmp_path_factory.mktemp("clients"), postgres, "clients", [Helpful()], "public") as site:
        files = {"certificate": str(site.folder / "gateway.crt"), "key": str(site.folder / "gateway.key")}
        site.start(
            **{"class": "public", "listen": files},
            workloads=[{"name": "app"}],
            routes=[
                {**site.place(), "workload": "app", "name": "fast", "target": "onprem-vllm"},
                {**site.place(model="bge"), "workload": "app", "name": "vectors", "task": "embedding"},
            ],
        )
        for edge in (*site.sidecars, *site.gateways):
            edge.wait_until_up()
        yield site


def run(gateway: Counted, command: list[str], folder: Path, **variables: str) -> dict[str, Any]:
    """Run a program and return its output. It gets the gateway's address, a key, the CA, and only these variables."""
    ca = str(gateway.authority.path)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "BASE_URL": gateway.gateways[0].url + "/v1",
        "KEY": gateway.issue("app", "public"),
        "SSL_CERT_FILE": ca,
        "NODE_EXTRA_CA_CERTS": ca,
        # LlamaIndex and LangChain would look for their own files there.
        "NLTK_DATA": str(folder),
        "TIKTOKEN_CACHE_DIR": str(folder),
        **variables,
    }
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:] or done.stdout[-3000:]
    return json.loads(done.stdout.rstrip("\n").rpartition("\n")[2])


def python_of(name: str) -> str:
    python = install.python(name)
    if python is None:
        pytest.fail(f"{name} is not installed: make graders")
    return str(python)


def run_node(gateway: Counted, program: str, folder: Path) -> dict[str, Any]:
    clients = install.node_folder()
    if not clients.exists():
        pytest.fail("the clients for Node are not installed: make graders")
    # Node finds packages in the folder of the program.
    (folder / "node_modules").symlink_to(clients / "node_modules")
    (folder / program).write_text((PROGRAMS / program).read_text())
    return run(gateway, ["node", program], folder)


def test_the_langchain_client_works_against_the_gateway(gateway: Counted, tmp_path: Path):
    program = str(PROGRAMS / "langchain_client.py")
    assert run(gateway, [python_of("langchain"), program], tmp_path) == {
        "chat": TEXT,
        "tools": [RATE, TEXT],
        "stream": TEXT,
        "streamed_tools": [{"city": "Bern"}],
        "json_schema": "Bern",
        "function_calling": "Bern",
        "embeddings": [VECTOR, VECTOR],
    }


@pytest.mark.soak
def test_the_llamaindex_client_works_against_the_gateway(gateway: Counted, tmp_path: Path):
    program = str(PROGRAMS / "llamaindex_client.py")
    assert run(gateway, [python_of("llamaindex"), program], tmp_path) == {
        "chat": TEXT,
        "stream": TEXT,
        "tools": [RATE, TEXT],
        "embeddings": [VECTOR, VECTOR],
    }


@pytest.mark.soak
def test_the_instructor_client_works_against_the_gateway(gateway: Counted, tmp_path: Path):
    program = str(PROGRAMS / "instructor_client.py")
    steps = run(gateway, [python_of("instructor"), program], tmp_path)
    assert len(steps) == 3
    assert set(steps.values()) == {"Bern"}


def test_the_litellm_client_works_against_the_gateway(gateway: Counted, tmp_path: Path):
    program = str(PROGRAMS / "litellm_client.py")
    assert run(gateway, [python_of("litellm"), program], tmp_path) == {
        "chat": TEXT,
        "stream": TEXT,
        "tools": [RATE, TEXT],
        "streamed_tools": [{"city": "Bern"}],
        "again": TEXT,
        "embeddings": [VECTOR, VECTOR],
    }


def test_the_openai_client_for_node_works_against_the_gateway(gateway: Counted, tmp_path: Path):
    assert run_node(gateway, "openai_client.mjs", tmp_path) == {
        "models": ["fast", "vectors"],
        "model": "fast",
        "chat": TEXT,
        "tools": [RATE, TEXT],
        "stream": TEXT,
        "streamed_tools": [{"city": "Bern"}],
        "again": TEXT,
        "run_tools": TEXT,
        "embeddings": [VECTOR, VECTOR],
    }


def test_the_vercel_ai_sdk_works_against_the_gateway(gateway: Counted, tmp_path: Path):
    assert run_node(gateway, "ai_sdk_client.mjs", tmp_path) == {
        "chat": TEXT,
        "tools": [RATE, TEXT],
        "stream": TEXT,
        "streamed_tools": [{"city": "Bern"}],
        "again": TEXT,
        "object": "Bern",
        "embeddings": [VECTOR, VECTOR],
    }
