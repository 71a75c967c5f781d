"""What the account is asked before anything is made, against answers that the test chooses."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.errors import EnvironmentFault, InputError, Refused
from stacks.aws_account import account, client, model_access
from tests import authority
from tests.blueprints.bank import requirements_and_plan
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse

pytestmark = pytest.mark.whole

EXISTING = {
    "mode": "existing",
    "zones": [],
    "vpc": "vpc-0a1",
    "subnets": ["subnet-0a1", "subnet-0b2"],
    "route_tables": ["rtb-0a1"],
}
PRIVATE = [SimpleNamespace(gateway_id="local", cidr_block="10.80.0.0/16")]
PUBLIC = [*PRIVATE, SimpleNamespace(gateway_id="igw-0c3", cidr_block="0.0.0.0/0")]


class Cloud:
    """The account's answers."""

    def __init__(self) -> None:
        self.zones = ["eu-central-1a", "eu-central-1b"]
        self.vpc = SimpleNamespace(cidr_block="10.80.0.0/16", cidr_block_associations=[])
        self.subnets = {"subnet-0a1": "eu-central-1a", "subnet-0b2": "eu-central-1b"}
        self.subnet_vpc = "vpc-0a1"
        self.routes = PRIVATE
        self.regions = ["eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3"]
        self.quota: float | None = None
        self.fault: dict[str, str] = {}
        self.called: list[str] = []

    def may_call(self, endpoint: str) -> list[str]:
        self.called.append(endpoint)
        return []

    def answer(self, name: str, value: Any) -> Any:
        def operation(**_: Any) -> Any:
            if name in self.fault:
                raise RuntimeError(f"invoke of aws failed: error: {self.fault[name]}")
            return value() if callable(value) else value

        return operation

    def subnet(self, id: str, **_: Any) -> Any:
        return SimpleNamespace(vpc_id=self.subnet_vpc, availability_zone=self.subnets[id])


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    import pulumi_aws
    from pulumi_aws import bedrock, bedrockfoundation, ec2, servicequotas

    fake = Cloud()

    def quota(**_: Any) -> Any:
        if fake.quota is None:
            raise RuntimeError("no such quota")
        return SimpleNamespace(value=fake.quota)

    def profile() -> Any:
        arns = [f"arn:aws:bedrock:{region}::foundation-model/x" for region in fake.regions]
        return SimpleNamespace(models=[SimpleNamespace(model_arn=arn) for arn in arns])

    for module, name, value in (
        (pulumi_aws, "get_availability_zones", lambda: SimpleNamespace(names=fake.zones)),
        (ec2, "get_vpc", lambda: fake.vpc),
        (ec2, "get_subnets", lambda: SimpleNamespace(ids=[*fake.subnets])),
        (ec2, "get_route_table", lambda: SimpleNamespace(routes=fake.routes)),
        (ec2, "get_instance_type_offerings", lambda: SimpleNamespace(instance_types=["g6e.12xlarge"])),
        (bedrockfoundation, "get_model", lambda: SimpleNamespace()),
        (bedrock, "get_inference_profile", profile),
    ):
        monkeypatch.setattr(module, name, fake.answer(name, value))
    monkeypatch.setattr(ec2, "get_subnet", fake.subnet)
    monkeypatch.setattr(servicequotas, "get_service_quota", quota)
    monkeypatch.setattr(client.Asked, "options", None)
    monkeypatch.setattr(model_access.Account, "may_call", lambda _, endpoint: fake.may_call(endpoint.id))
    return fake


def ask(platform: Platform | None = None, **network: Any) -> list[str]:
    data = platform_data()
    data["networks"][0].update(network)
    requirements, plan = requirements_and_plan()
    built = platform or parse(data)
    providers: Any = {site.name: object() for site in built.sites}
    return account.check(built, plan, requirements, providers, datetime.date(2026, 11, 25))


def test_a_complete_account_is_accepted_and_unknown_quotas_are_reported(cloud: Cloud):
    warnings_told = ask()
    assert len(warnings_told) == 2
    assert "the plan's peak needs 2,457,000" in warnings_told[0]
    cloud.quota = 5_000_000
    assert ask() == []


def test_a_quota_below_the_plans_peak_is_an_answer(cloud: Cloud):
    cloud.quota = 1000
    with pytest.raises(Refused, match=r"needs 2,457,000 tokens a minute.*is 1,000"):
        ask()


def test_every_endpoint_on_bedrock_is_asked_for_and_no_other(cloud: Cloud):
    ask()
    ids = [endpoint.id for endpoint in parse(platform_data()).endpoints if endpoint.target == "bedrock"]
    assert ids
    assert cloud.called == ids


def test_a_zone_that_the_account_has_not_is_named_with_those_it_has(cloud: Cloud):
    cloud.zones = ["eu-central-1b", "eu-central-1c"]
    with pytest.raises(InputError, match=r"no zone `eu-central-1a`.*It has: eu-central-1b, eu-central-1c"):
        ask()


def test_a_model_that_the_region_has_not_is_named(cloud: Cloud):
    cloud.fault["get_model"] = "ResourceNotFoundException: Could not resolve the foundation model"
    with pytest.raises(InputError, match=r"endpoints\[internal-haiku\]\.model.*no model anthropic") as caught:
        ask()
    assert "\n" not in str(caught.value)


def test_an_account_that_does_not_answer_is_the_surroundings_fault(cloud: Cloud):
    cloud.fault["get_model"] = "AccessDeniedException: not authorized"
    with pytest.raises(EnvironmentFault, match="not authorized"):
        ask()


def test_a_profile_that_leads_further_than_the_table_knows_is_refused(cloud: Cloud):
    cloud.regions = [*cloud.regions, "us-east-1"]
    with pytest.raises(Refused, match=r"routes to us-east-1 too.* Fix: Update Isthmus"):
        ask()


def test_an_existing_private_network_is_taken(cloud: Cloud):
    assert ask(**EXISTING)


def test_a_subnet_with_a_route_to_the_internet_is_not_private(cloud: Cloud):
    cloud.routes = PUBLIC
    with pytest.raises(Refused, match=r"subnet subnet-0a1 of VPC vpc-0a1 is not private.*igw-0c3") as caught:
        ask(**EXISTING)
    assert caught.value.where == "networks[frankfurt].subnets[0]"
    assert caught.value.fix == "vpc-0a1 has no private subnet: make some in two zones, or name another VPC"


def test_a_missing_vpc_is_reported_with_its_place(cloud: Cloud):
    cloud.fault["get_vpc"] = "reading EC2 VPC: no matching EC2 VPC found"
    with pytest.raises(InputError, match="the account has no VPC vpc-0a1") as caught:
        ask(**EXISTING)
    assert caught.value.where == "networks[frankfurt].vpc"


@pytest.mark.parametrize("more", [{}, {"subnet-0c3": "eu-central-1b"}])
def test_two_subnets_in_one_zone_are_refused(cloud: Cloud, more: dict[str, str]):
    cloud.subnets = {"subnet-0a1": "eu-central-1a", "subnet-0b2": "eu-central-1a", **more}
    message = "subnets subnet-0a1 and subnet-0b2 of VPC vpc-0a1 both stand in eu-central-1a"
    with pytest.raises(InputError, match=message) as caught:
        ask(**{**EXISTING, "subnets": [*cloud.subnets]})
    assert caught.value.where == "networks[frankfurt].subnets[1]"


def test_a_subnet_of_another_vpc_is_named(cloud: Cloud):
    cloud.subnet_vpc = "vpc-0f9"
    with pytest.raises(InputError, match="is in vpc-0f9, not in vpc-0a1") as caught:
        ask(**EXISTING)
    assert caught.value.fix == "Name private subnets of vpc-0a1: subnet-0a1, subnet-0b2"


def test_a_network_that_the_vpc_has_not_is_named(cloud: Cloud):
    cloud.vpc.cidr_block = "10.90.0.0/16"
    with pytest.raises(InputError, match=r"is not within VPC vpc-0a1, which has 10\.90\.0\.0/16"):
        ask(**EXISTING)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("2020-01-01", "2026-11-24", "the certificate of 'CN=Bank LLM identities' expired on 2026-11-24"),
        (
            "2026-11-26",
            "2030-01-01",
            "the certificate of 'CN=Bank LLM identities' is not valid before 2026-11-26",
        ),
    ],
)
def test_an_authority_that_does_not_hold_today_is_refused(cloud: Cloud, start: str, end: str, message: str):
    data = platform_data()
    data["trust"][0]["ca_certificates"] = authority.make(start=start, end=end)[0]
    with pytest.raises(Refused, match=message):
        ask(parse(data))


def test_an_instance_type_that_the_region_does_not_offer_is_named(cloud: Cloud):
    requirements, plan = requirements_and_plan()
    first, second = (endpoint for endpoint in plan.endpoints if endpoint.site == "frankfurt")
    planned = [
        first.model_copy(update={"target": "eks-vllm", "instance_type": "p5.48xlarge"}),
        second.model_copy(update={"target": "eks-vllm", "instance_type": "g6e.12xlarge"}),
    ]
    built = parse(platform_data())
    with pytest.raises(InputError, match=r"does not offer p5\.48xlarge\."):
        account.check(
            built,
            plan.model_copy(update={"endpoints": planned}),
            requirements,
            {site.name: object() for site in built.sites},  # type: ignore[misc]
            datetime.date(2026, 11, 25),
        )
