"""An S3 of the tests' own, by moto, on a free port of the loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def s3_service() -> Iterator[str]:
    """Its address, for as long as it lasts."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def client(url: str) -> Any:
    """Of that service; what it does not answer is not asked again."""
    import boto3
    from botocore.config import Config

    credentials = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    return boto3.client(
        "s3", endpoint_url=url, config=Config(retries={"total_max_attempts": 1}), **credentials
    )
