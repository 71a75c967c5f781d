"""Starts, checks and restarts the process of the AWS endpoint.

The code of the endpoint is `sandbox.aws`. Its data is in memory only, so `down` deletes it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from isthmus.core.errors import EnvironmentFault
from sandbox import processes
from sandbox.cluster.kwok import free_ports
from sandbox.home import Home

NAME = "aws-endpoint"
ROOT = Path(__file__).resolve().parents[1]
"""The checkout: `sandbox` is importable from there."""


def client(service: str, url: str, region: str) -> Any:
    """A client of one of its services, in the default account."""
    import boto3

    create: Any = boto3.client
    return create(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",  # noqa: S106
    )


def address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def is_healthy(port: int) -> bool:
    """Return True if the endpoint answers on this port."""
    try:
        answer = httpx.get(f"{address(port)}/isthmus/health", timeout=2.0, trust_env=False)
    except httpx.TransportError:
        return False
    return answer.status_code == 200


def add_models(port: int, region: str, models: Sequence[str]) -> None:
    """Add Bedrock models to a region, besides those of AWS's inference profiles.

    Raises `EnvironmentFault` if the endpoint does not accept them.
    """
    if not models:
        return
    body = {"region": region, "models": [{"modelId": model} for model in models]}
    try:
        answer = httpx.put(
            f"{address(port)}/isthmus/bedrock/models", json=body, timeout=10.0, trust_env=False
        )
    except httpx.TransportError as error:
        raise EnvironmentFault(
            f"the AWS endpoint did not answer when models were added to {region} ({type(error).__name__})",
            where=address(port),
            fix="Run `isthmus sandbox up` again",
        ) from None
    if answer.status_code != 200:
        raise EnvironmentFault(
            f"the AWS endpoint refused to add models to {region}: {answer.text[:200]}", where=address(port)
        )


def ensure(home: Home, port: int | None, region: str, timeout_s: float = 60.0) -> int:
    """Start the endpoint unless it runs, and return its port.

    `port` is the port of the previous run. It is used again if it is free, since shells have it in
    AWS_ENDPOINT_URL. Raises `EnvironmentFault` if the endpoint does not start.
    """
    running = processes.running_processes(home).get(NAME)
    if running is not None:
        if port is not None and is_healthy(port):
            return port
        processes.end_processes([running])
    processes.end_processes(
        process for process in processes.find_strays(home) if "sandbox.aws.endpoint" in process.cmdline()
    )
    endpoint_port = port if port is not None and _is_free(port) else free_ports(1)[0]
    home.aws.mkdir(parents=True, exist_ok=True)
    log = home.aws / "endpoint.log"
    command = [sys.executable, "-m", "sandbox.aws.endpoint", "--port", str(endpoint_port)]
    # The process must not see the user's AWS settings. ISTHMUS_HOME identifies it if it is left behind.
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
    while not is_healthy(endpoint_port):
        ended = NAME not in processes.running_processes(home)
        if ended or time.monotonic() > deadline:
            reason = "ended" if ended else f"did not answer in {timeout_s:.0f} s"
            raise EnvironmentFault(
                f"the AWS endpoint {reason}. End of its log: {processes.tail(log)}",
                where=str(log),
                fix="Run `isthmus sandbox up` again",
            )
        time.sleep(0.1)
    return endpoint_port


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
