"""A sandbox that went down and came up on other ports: everything is made again, no provider is another."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from sandbox import api
from sandbox.environment import inherited_variables
from tests.laying import lay

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "stacks" / "bank-dev.requirements.yaml"

pytestmark = [pytest.mark.sandbox, pytest.mark.soak]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "home"
    yield place
    api.down(place)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    lay(root, bank=True)
    (root / ".venv").symlink_to(sys.prefix)
    return root


def environment(home: Path) -> dict[str, str]:
    return inherited_variables() | api.environment(home) | {"PYTHONPATH": str(ROOT)}


def up(project: Path, home: Path) -> str:
    command = [sys.executable, "-m", "isthmus", "up", "bank-dev", "--yes", "--project", str(project)]
    done = subprocess.run(
        command, cwd=project, env=environment(home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def resources(project: Path, home: Path) -> list[dict]:
    exported = subprocess.run(
        ["pulumi", "stack", "export", "--stack", "bank-dev"],
        cwd=project,
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(exported.stdout)["deployment"]["resources"]


def test_everything_is_made_again_on_other_ports_and_no_provider_is_replaced(home, project):
    api.up(REQUIREMENTS, home=home)
    first = environment(home)
    up(project, home)
    before = resources(project, home)
    api.down(home)
    assert not [process for process in psutil.process_iter(["cmdline"]) if _belongs(process, home)]
    with socket.socket() as occupied:
        occupied.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        occupied.bind(("127.0.0.1", urlsplit(first["AWS_ENDPOINT_URL"]).port or 0))
        occupied.listen()
        api.up(REQUIREMENTS, home=home)
        assert environment(home)["AWS_ENDPOINT_URL"] != first["AWS_ENDPOINT_URL"]
        output = up(project, home)
        after = resources(project, home)
    providers = [
        {
            resource["urn"]: resource["id"]
            for resource in each
            if resource["type"].startswith("pulumi:providers:")
        }
        for each in (before, after)
    ]
    assert providers[0] == providers[1], "a provider was replaced, and with it all that it made"
    assert {resource["urn"] for resource in before} == {resource["urn"] for resource in after}
    assert "The platform bank is up" in output


def _belongs(process: psutil.Process, home: Path) -> bool:
    return any(str(home) in word for word in process.info["cmdline"] or ())
