"""Plugins that a killed run left behind.

A provider notices only within minutes that its engine is gone (pulumi/sdk/v3 v3.274.1, go/pulumi/provider/
main.go: every five minutes), and until then may still carry out what it was told. So before anybody looks
what there is, what cannot report to anybody any more is ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any

_PREFIX = "pulumi-resource-"
_OURS = "sandbox.aws.plugin"
"""The sandbox's AWS plugin is a Python module."""
_WAIT_S = 5.0


def end(backend_url: str) -> list[str]:
    """End the orphaned plugins of runs with this `PULUMI_BACKEND_URL` (empty: without one), and name them.

    [] where psutil is missing.
    """
    try:
        import psutil
    except ImportError:
        return []
    found = [each for each in psutil.process_iter(["cmdline", "uids"]) if _orphaned(each, backend_url)]
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, left = psutil.wait_procs(found, timeout=_WAIT_S)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=_WAIT_S)
    return sorted(_plugin(process.info["cmdline"]) for process in found)


def _plugin(line: list[str]) -> str:
    """The plugin's name, empty where the command line is no plugin's."""
    name = os.path.basename(line[0]) if line else ""  # noqa: PTH119
    return f"{_PREFIX}aws" if _OURS in line[1:3] else name if name.startswith(_PREFIX) else ""


def _orphaned(process: Any, backend_url: str) -> bool:
    """Ours by user and backend, with an engine's address as its argument where nobody listens."""
    import psutil

    line, uids = process.info["cmdline"] or [], process.info["uids"]
    if len(line) < 2 or uids is None or uids.real != os.getuid():
        return False
    if not _plugin(line):
        return False
    try:
        if process.environ().get("PULUMI_BACKEND_URL", "") != backend_url:
            return False
    except (psutil.Error, OSError):
        return False
    host, _, port = line[-1].rpartition(":")
    if host not in ("127.0.0.1", "localhost", "[::1]") or not port.isdigit():
        return False
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1.0):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
