"""The AWS endpoint's process: started, found healthy, and started again after a crash.

Its code is `sandbox.aws`; what it knows is in its memory, and `down` forgets it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from isthmus.core.errors import EnvironmentFault
from sandbox import processes
from sandbox.cluster.kwok import free_ports
from sandbox.home import Home

NAME = "aws-endpoint"
ROOT = Path(__file__).resolve().parents[1]
"""The checkout: `sandbox` is importable from there."""


def address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def healthy(port: int) -> bool:
    """Does the endpoint answer on this port?"""
    try:
        answer = httpx.get(f"{address(port)}/isthmus/health", timeout=2.0, trust_env=False)
    except httpx.TransportError:
        return False
    return answer.status_code == 200


def add_models(port: int, region: str, models: Sequence[str]) -> None:
    """Models that a region has besides those of AWS's inference profiles: no table says which other ones it has."""
    if not models:
        return
    body = {"region": region, "models": [{"modelId": each} for each in models]}
    try:
        answer = httpx.put(
            f"{address(port)}/isthmus/bedrock/models", json=body, timeout=10.0, trust_env=False
        )
    except httpx.TransportError as error:
        raise EnvironmentFault(
            f"the AWS endpoint took no models of {region}: {type(error).__name__}", where=address(port)
        ) from None
    if answer.status_code != 200:
        raise EnvironmentFault(
            f"the AWS endpoint takes no models of {region}: {answer.text[:200]}", where=address(port)
        )


def ensure(home: Home, port: int | None, region: str, timeout_s: float = 60.0) -> int:
    """Start the endpoint unless it runs; its port.

    `port` is the one it had: taken again where it is free, since shells hold it in AWS_ENDPOINT_URL.
    """
    running = processes.alive(home).get(NAME)
    if running is not None:
        if port is not None and healthy(port):
            return port
        processes.end([running])
    processes.end(
        process for process in processes.strays(home) if "sandbox.aws.endpoint" in process.cmdline()
    )
    chosen = port if port is not None and _free(port) else free_ports(1)[0]
    home.aws.mkdir(parents=True, exist_ok=True)
    log = home.aws / "endpoint.log"
    command = [sys.executable, "-m", "sandbox.aws.endpoint", "--port", str(chosen)]
    # Nothing of the user's AWS settings reaches it; ISTHMUS_HOME is how a stray one is known.
    environment = {
        "ISTHMUS_HOME": str(home.root),
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home.aws),
        "PYTHONPATH": str(ROOT),
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    pid = processes.start(command, log=log, environment=environment, folder=ROOT)
    processes.record(home, {NAME: pid})
    deadline = time.monotonic() + timeout_s
    while not healthy(chosen):
        ended = NAME not in processes.alive(home)
        if ended or time.monotonic() > deadline:
            what = "ended" if ended else f"did not answer in {timeout_s:.0f} s"
            raise EnvironmentFault(
                f"the AWS endpoint {what}. Its last words: {processes.tail(log)}",
                where=str(log),
                fix="Run `isthmus sandbox up` again",
            )
        time.sleep(0.1)
    return chosen


def _free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
