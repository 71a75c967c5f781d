"""One endpoint a test run, one provider a test."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from sandbox.aws.endpoint import make_server
from tests.aws_sandbox.driver import REGION, Client, World
from tests.aws_sandbox.faults import ask

SERVICES = (
    "s3",
    "kms",
    "iam",
    "sts",
    "bedrock",
    "cloudwatchlogs",
    "rolesanywhere",
    "eks",
    "servicequotas",
    "sagemaker",
    "appautoscaling",
    "ec2",
    "secretsmanager",
    "route53resolver",
    "directconnect",
    "cloudtrail",
    "cloudwatch",
    "cloudwatchevents",
    "sns",
    "budgets",
    "ce",
    "ecs",
    "efs",
    "elbv2",
    "route53",
)


def at_work(client: Client, world: World) -> None:
    client.configure(region=REGION, endpoints=[dict.fromkeys(SERVICES, world.url)])


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    server = make_server("127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield World(f"http://127.0.0.1:{server.port}")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def healed(world: World) -> Iterator[None]:
    """For a test that puts faults in: none is left after it."""
    yield
    ask(world, "DELETE")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore waits up to 20 s between tries; here it does not."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)


@pytest.fixture
def bare() -> Iterator[Client]:
    """A provider that nobody has configured."""
    client = Client()
    yield client
    client.close()


@pytest.fixture
def client(bare: Client, world: World) -> Client:
    """A provider at work on the endpoint."""
    at_work(bare, world)
    return bare


@pytest.fixture(scope="session")
def standing(world: World) -> Iterator[Client]:
    """The same provider for many tests: it holds nothing but its connections, which take long to make."""
    new_client = Client()
    at_work(new_client, world)
    yield new_client
    new_client.close()
