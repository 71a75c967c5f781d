"""Starts and restarts the process of the simulated operators, one for each cluster."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sandbox import processes
from sandbox.cluster.kwok import Cluster

MODULE = "sandbox.operators"
NAME = "operators"
"""The process is recorded as `CLUSTER/operators`."""
_ROOT = Path(__file__).resolve().parents[1]


def ensure(cluster: Cluster) -> None:
    """Start the cluster's operators unless they run and use the cluster's current address."""
    server = cluster.access.server
    name = cluster.process_name(NAME)
    running = processes.running_processes(cluster.home).get(name)
    if running is not None and server in running.cmdline():
        return
    if running is not None:
        processes.end_processes([running])
    pid = processes.start(
        [sys.executable, "-m", MODULE, "--server", server, "--pki", str(cluster.folder / "pki")],
        log=cluster.folder / "logs" / "operators.log",
        environment={
            # Identifies the process if it is left behind.
            "ISTHMUS_HOME": str(cluster.home.root),
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(_ROOT),
        },
        folder=_ROOT,
    )
    processes.record(cluster.home, {name: pid})
