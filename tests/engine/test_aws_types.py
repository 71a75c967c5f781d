"""Lookups of every AWS type, tested on resources created at the sandbox's endpoint."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from isthmus.engine.project.aws_account import Aws
from isthmus.engine.recovery.aws.lookup import RESOURCE_TAG, STACK_TAG
from isthmus.engine.recovery.aws.types import LOOKUPS, look_up
from isthmus.engine.state.interrupted_creations import Creation, Made, NotMade, Unknown
from sandbox.aws.endpoint import make_server
from sandbox.aws.table import TYPES
from stacks import tagging
from tests.aws_sandbox.cases import CASES
from tests.aws_sandbox.driver import REGION, Client, World
from tests.sampling import sampled

pytestmark = pytest.mark.service
STACK = "isthmus/dev"
ABSENT = NotMade().why
SINGLE = {"aws:secretsmanager/secretVersion:SecretVersion"}
"""Made again there are two, of which the second is current: as good as one."""
TAGGED = sorted(token for token in TYPES if "tags" in TYPES[token].inputs)
"""Of these every third is tried in `make test`, by each test another."""


@pytest.fixture(scope="module")
def aws_endpoint() -> Iterator[World]:
    server = make_server("127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield World(f"http://127.0.0.1:{server.port}")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(aws_endpoint: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    variables = {
        "AWS_ENDPOINT_URL": aws_endpoint.url,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "ISTHMUS_SANDBOX": "1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    aws_client = Client(variables)
    aws_client.configure(region=REGION)
    yield aws_client
    aws_client.close()


def create_resource(client: Client, aws_endpoint: World, token: str) -> Creation:
    """What the state says of a creation that was begun: inputs, tagged as the program tags."""
    name = aws_endpoint.name("thing")
    props = CASES[token].make(aws_endpoint)
    if "tags" in TYPES[token].inputs:
        props = {**props, "tags": {**props.get("tags", {}), STACK_TAG: STACK, RESOURCE_TAG: name}}
    inputs = client.checked(token, props)
    return Creation(
        {"urn": f"urn:pulumi:dev::isthmus::{token}::{name}", "type": token, "custom": True, "inputs": inputs}
    )


CLIENTS: dict[str, Any] = {}


def account(*known_urns: tuple[str, str]) -> Aws:
    # Clients take longest to make, and the endpoint is the same for all.
    return Aws({"region": REGION}, STACK, frozenset(known_urns), CLIENTS)


def test_every_aws_type_of_the_components_can_be_looked_up():
    assert set(TYPES) <= set(LOOKUPS), "a type would stop every recovery"


def test_lookups_use_the_tags_that_the_program_sets():
    assert (STACK_TAG, RESOURCE_TAG) == (tagging.STACK_TAG, tagging.RESOURCE_TAG)


@pytest.mark.parametrize("token", sampled(sorted(TYPES), 3))
def test_a_resource_is_found_by_its_id_only_after_its_creation(client, aws_endpoint, token):
    creation = create_resource(client, aws_endpoint, token)
    before = look_up(account(), creation)
    assert isinstance(before, NotMade), before
    id, _ = client.create(token, creation.inputs)
    after = look_up(account(), creation)
    if before.why != ABSENT:
        assert after == before, "a way that says that it may be made again says so always"
        again, _ = client.create(token, creation.inputs)
        assert again == id or token in SINGLE, "made again it is a second one"
        return
    assert after == Made(id)
    assert isinstance(look_up(account((token, id)), creation), NotMade), "the state has it already"


@pytest.mark.parametrize("token", sampled(TAGGED, 3, 1))
def test_a_resource_with_tags_of_another_stack_is_never_adopted(client, aws_endpoint, token):
    creation = create_resource(client, aws_endpoint, token)
    foreign = {**creation.inputs, "tags": {STACK_TAG: "isthmus/prod", RESOURCE_TAG: creation.name}}
    client.create(token, client.checked(token, foreign))
    verdict: Any = look_up(account(), creation)
    assert not isinstance(verdict, Made), verdict


@pytest.mark.parametrize("token", sampled(TAGGED, 3, 2))
def test_an_untagged_resource_is_reported_and_not_adopted(client, aws_endpoint, token):
    creation = create_resource(client, aws_endpoint, token)
    inputs = {name: value for name, value in creation.inputs.items() if name != "tags"}
    id, _ = client.create(token, client.checked(token, inputs))
    verdict = look_up(account(), creation)
    assert not isinstance(verdict, Made), verdict
    if isinstance(verdict, Unknown):
        assert id in verdict.may
        assert verdict.look.startswith("aws ")
        assert REGION in verdict.look


@pytest.mark.parametrize(
    "token", ["aws:iam/rolePolicy:RolePolicy", "aws:cloudwatch/logMetricFilter:LogMetricFilter"]
)
def test_a_resource_with_a_generated_name_is_looked_up_by_it(client, aws_endpoint, token):
    inputs = {name: value for name, value in CASES[token].make(aws_endpoint).items() if name != "name"}
    creation = with_inputs(token, client.checked(token, inputs))
    assert creation.made_up("name")
    assert look_up(account(), creation) == NotMade()
    id, _ = client.create(token, creation.resource["inputs"])
    assert look_up(account(), creation) == Made(id)
    assert isinstance(look_up(account((token, id)), creation), NotMade), "the state has it already"


def test_outside_the_sandbox_the_id_of_a_metric_filter_is_its_name(client, aws_endpoint, monkeypatch):
    token = "aws:cloudwatch/logMetricFilter:LogMetricFilter"
    inputs = {name: value for name, value in CASES[token].make(aws_endpoint).items() if name != "name"}
    creation = with_inputs(token, client.checked(token, inputs))
    client.create(token, creation.resource["inputs"])
    monkeypatch.delenv("ISTHMUS_SANDBOX")
    assert look_up(account(), creation) == Made(creation.inputs["name"])


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        ("aws:cloudwatch/eventTarget:EventTarget", {"rule": "r", "arn": "arn:aws:sns:x"}),
        ("aws:cloudwatch/eventRule:EventRule", {"namePrefix": "r"}),
        ("aws:cloudwatch/metricAlarm:MetricAlarm", {"name": "a-1234567", "__defaults": ["name"]}),
        ("aws:iam/rolePolicy:RolePolicy", {"role": "r", "namePrefix": "p"}),
    ],
)
def test_a_resource_with_an_unknown_name_is_undecided(token, inputs):
    assert isinstance(look_up(account(), with_inputs(token, inputs)), Unknown)


def test_a_log_group_is_found_by_prefix_tags_and_age(client, aws_endpoint):
    token, prefix = "aws:cloudwatch/logGroup:LogGroup", aws_endpoint.name("/isthmus/flow")
    own_inputs = {"namePrefix": prefix, "tags": {STACK_TAG: STACK, RESOURCE_TAG: "flow"}}
    creation = with_inputs(token, client.checked(token, own_inputs), name="flow")
    assert "name" not in creation.inputs
    foreign = {**own_inputs, "tags": {STACK_TAG: "isthmus/prod", RESOURCE_TAG: "flow"}}
    client.create(token, client.checked(token, foreign))
    assert look_up(account(), creation) == NotMade()
    id, _ = client.create(token, creation.resource["inputs"])
    assert look_up(account(), creation) == Made(id)
    assert look_up(account((token, id)), creation) == NotMade(), "the state has it already"
    later = datetime.now(UTC) + timedelta(hours=1)
    assert look_up(account(), replace(creation, since=later.isoformat())) == NotMade(), "an earlier life's"
    earlier = datetime.now(UTC) - timedelta(hours=1)
    assert look_up(account(), replace(creation, since=earlier.isoformat())) == Made(id)
    client.create(token, creation.resource["inputs"])
    assert isinstance(look_up(account(), creation), Unknown), "two, and none is chosen"


def with_inputs(token: str, inputs: dict[str, Any], name: str = "thing") -> Creation:
    urn = f"urn:pulumi:dev::isthmus::{token}::{name}"
    return Creation({"urn": urn, "type": token, "custom": True, "inputs": inputs})
