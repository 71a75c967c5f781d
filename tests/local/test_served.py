"""What is known of a served stack without the modules that serve."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isthmus.cli import usage_access
from sandbox import processes
from sandbox.home import Home
from sandbox.local import served


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home in which `bank-dev` is served with a ledger."""
    home = Home(tmp_path)
    served.folder(home).mkdir(parents=True)
    document = {"stack": "bank-dev", "ledger": "/ledger.yaml"}
    (served.folder(home) / "platform.json").write_text(json.dumps(document))
    monkeypatch.setattr(processes, "running_processes", lambda _: {served.NAME: 1})
    monkeypatch.setattr(Home, "at", lambda: home)
    return home


def stack(name: str, sandbox: bool = True) -> Any:
    return SimpleNamespace(name=name, sandbox=sandbox)


def test_usage_reads_the_ledger_of_the_served_stack_only(home: Home) -> None:
    assert usage_access.sandbox_ledger(stack("bank-dev")) == Path("/ledger.yaml")
    assert usage_access.sandbox_ledger(stack("other")) is None
    assert usage_access.sandbox_ledger(stack("bank-dev", sandbox=False)) is None


def test_nothing_is_known_of_what_does_not_run_or_was_not_written(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    (served.folder(home) / "platform.json").write_text("{")
    assert served.read_document(home) is None
    monkeypatch.setattr(processes, "running_processes", lambda _: {})
    assert usage_access.sandbox_ledger(stack("bank-dev")) is None


def test_it_is_read_without_the_modules_that_serve() -> None:
    text = "import sys, sandbox.local.served; sys.exit('sandbox.local.serving' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 0
