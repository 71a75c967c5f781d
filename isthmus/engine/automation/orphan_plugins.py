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
_SANDBOX_MODULE = "sandbox.aws.plugin"
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
    orphans = [
        process for process in psutil.process_iter(["cmdline", "uids"]) if _is_orphaned(process, backend_url)
    ]
    for process in orphans:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, survivors = psutil.wait_procs(orphans, timeout=_WAIT_S)
    for process in survivors:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(survivors, timeout=_WAIT_S)
    return sorted(_plugin_name(process.info["cmdline"]) for process in orphans)


def _plugin_name(arguments: list[str]) -> str:
    """The plugin's name, empty where the command line is no plugin's."""
    name = os.path.basename(arguments[0]) if arguments else ""  # noqa: PTH119
    return f"{_PREFIX}aws" if _SANDBOX_MODULE in arguments[1:3] else name if name.startswith(_PREFIX) else ""


def _is_orphaned(process: Any, backend_url: str) -> bool:
    """Ours by user and backend, with an engine's address as its argument where nobody listens."""
    import psutil

    arguments, uids = process.info["cmdline"] or [], process.info["uids"]
    if len(arguments) < 2 or uids is None or uids.real != os.getuid():
        return False
    if not _plugin_name(arguments):
        return False
    try:
        if process.environ().get("PULUMI_BACKEND_URL", "") != backend_url:
            return False
    except (psutil.Error, OSError):
        return False
    host, _, port = arguments[-1].rpartition(":")
    if host not in ("127.0.0.1", "localhost", "[::1]") or not port.isdigit():
        return False
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1.0):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
