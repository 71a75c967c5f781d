"""What the last `isthmus sandbox serve` wrote about itself, without what it takes to serve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sandbox import processes
from sandbox.home import Home

NAME = "local-platform"
"""The supervisor's name among the sandbox's processes."""


def folder(home: Home) -> Path:
    """The folder of the local platform's files."""
    return home.root / "local"


def read_document(home: Home) -> dict[str, Any] | None:
    """What is served, as `sandbox.local.serving.Platform` writes it; None if nothing runs."""
    if NAME not in processes.running_processes(home):
        return None
    try:
        return json.loads((folder(home) / "platform.json").read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
