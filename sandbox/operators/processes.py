"""The stand-ins' processes, one a cluster: started, found, and started again after a crash."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sandbox import processes
from sandbox.cluster.kwok import Cluster

MODULE = "sandbox.operators"
NAME = "operators"
"""The process is `CLUSTER/operators` among a sandbox's."""
_ROOT = Path(__file__).resolve().parents[2]


def ensure(cluster: Cluster) -> None:
    """Start the cluster's stand-ins unless they run and speak to the address that it has now."""
    server = cluster.access.server
    name = cluster.process_name(NAME)
    running = processes.alive(cluster.home).get(name)
    if running is not None and server in running.cmdline():
        return
    if running is not None:
        processes.end([running])
    pid = processes.start(
        [sys.executable, "-m", MODULE, "--server", server, "--pki", str(cluster.folder / "pki")],
        log=cluster.folder / "logs" / "operators.log",
        environment={
            # By which a stray one is known.
            "ISTHMUS_HOME": str(cluster.home.root),
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(_ROOT),
        },
        folder=_ROOT,
    )
    processes.record(cluster.home, {name: pid})
