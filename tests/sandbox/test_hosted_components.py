"""Components made through the package's plugin, as a program in any other language makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws_sandbox.stack import Stack, endpoint, kinds

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).resolve().parents[2]
REGION = "eu-central-1"
OUTPUTS = {
    "Network": ("vpcId", "subnetIds", "routeTableIds", "retained"),
    "PrivateEndpoints": ("urls", "ids"),
    "WorkloadIdentity": ("roleArn", "roleName", "profileArn", "boundaryArn"),
    "SiteLink": ("transitGatewayId", "inboundResolverIps"),
    "TrustAnchor": ("arn",),
}
"""By component: the outputs that the programs below read."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with endpoint() as url:
        new_stack = Stack(tmp_path, url)
        with (tmp_path / "Pulumi.yaml").open("a", encoding="utf-8") as file:
            file.write(f"\nplugins:\n  providers:\n    - {{name: isthmus, path: {ROOT / 'components'}}}\n")
        yield new_stack
        new_stack.stack.destroy()


def maker() -> Callable[[str, dict[str, Any]], Any]:
    """What makes a component by its schema's names: nothing is imported from `components`."""
    import pulumi

    from isthmus.contracts.platform.model.platform import Site
    from stacks import providers

    site = Site(name="frankfurt", kind="aws", jurisdiction="de", region=REGION)
    provider = providers.aws(site, {"isthmus-stack": "t"}, sandbox=True)

    def make(kind: str, inputs: dict[str, Any]) -> Any:
        return pulumi.ComponentResource(
            f"isthmus:index:{kind}",
            kind.lower(),
            {**inputs, **dict.fromkeys(OUTPUTS[kind])},
            pulumi.ResourceOptions(providers={"aws": provider}),
            remote=True,
        )

    return make


def network(cidr: str = "10.60.0.0/16") -> dict[str, Any]:
    zones = [f"{REGION}a", f"{REGION}b"]
    values = {"name": "frankfurt", "region": REGION, "mode": "manage", "cidr": cidr, "zones": zones}
    return {**values, "flowLogDays": 365}


def path() -> None:
    """Five components, each fed by outputs of those before it."""
    import pulumi

    from tests import authority

    make = maker()
    created = make("Network", network())
    anchor = make(
        "TrustAnchor",
        {"name": "bank", "region": REGION, "mode": "manage", "caCertificates": authority.pem()},
    )
    identity = make(
        "WorkloadIdentity",
        {
            "name": "internal",
            "sensitivity": "internal",
            "trustAnchor": anchor.arn,
            "subject": "internal-translator.isthmus-internal.svc",
            "actions": ["bedrock:InvokeModel"],
            "resources": [f"arn:aws:bedrock:{REGION}::foundation-model/amazon.nova-lite-v1:0"],
            "sessionSeconds": 3600,
            "sourceVpc": created.vpcId,
        },
    )
    endpoints = make(
        "PrivateEndpoints",
        {
            "name": "frankfurt",
            "region": REGION,
            "vpcId": created.vpcId,
            "subnetIds": created.subnetIds,
            "routeTableIds": created.routeTableIds,
            "sources": ["10.40.0.0/16"],
            "grants": [
                {
                    "service": "bedrock-runtime",
                    "principals": [identity.roleArn],
                    "actions": ["bedrock:InvokeModel"],
                    "resources": [f"arn:aws:bedrock:{REGION}::foundation-model/amazon.nova-lite-v1:0"],
                }
            ],
        },
    )
    link = make(
        "SiteLink",
        {
            "name": "fra1-frankfurt",
            "kind": "vpn",
            "mode": "manage",
            "region": REGION,
            "vpcId": created.vpcId,
            "vpcCidr": "10.60.0.0/16",
            "subnetIds": created.subnetIds,
            # A list that is known, of what is not yet: a route is made in each.
            "routeTableIds": [created.routeTableIds[0]],
            "sources": ["10.40.0.0/16"],
            "peerIp": "198.51.100.7",
            "siteAsn": 65010,
            "amazonAsn": 64512,
            "resolvers": "manage",
            "siteDns": ["10.40.0.53"],
            "zones": [],
            "classes": ["internal"],
        },
    )
    pulumi.export("gateway", link.transitGatewayId)
    pulumi.export("resolvers", link.inboundResolverIps)
    pulumi.export("vpc", created.vpcId)
    pulumi.export("role", identity.roleArn)
    pulumi.export("urls", endpoints.urls)


@pytest.mark.soak
def test_components_made_by_the_plugin_feed_each_other_stay_unchanged_and_go(stack: Stack) -> None:
    ec2 = stack.boto("ec2")
    mine = {vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"]}
    stack.own(path)
    stack.up()
    outputs = stack.outputs()
    assert outputs["vpc"] not in mine
    assert outputs["urls"]["bedrock-runtime"].startswith("https://vpce-")
    (created,) = ec2.describe_vpc_endpoints()["VpcEndpoints"]
    assert created["VpcId"] == outputs["vpc"]
    assert outputs["role"] in created["PolicyDocument"]
    (table,) = ec2.describe_route_tables(
        Filters=[{"Name": "route.destination-cidr-block", "Values": ["10.40.0.0/16"]}]
    )["RouteTables"]
    assert outputs["gateway"] in {route.get("TransitGatewayId") for route in table["Routes"]}
    assert [address.rpartition(".")[0] for address in outputs["resolvers"]] == ["10.60.0", "10.60.32"]
    assert set(kinds(stack.stack.preview(refresh=True, expect_no_changes=True).change_summary)) == {"same"}
    stack.stack.destroy()
    assert {vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"]} == mine


def test_what_is_wrong_is_told_in_a_paragraph_and_nothing_is_made(stack: Stack) -> None:
    import pulumi.automation as auto

    stack.own(lambda: maker()("Network", network("10.60.0.0/28")))
    with pytest.raises(auto.CommandError) as refused:
        stack.up()
    says = str(refused.value)
    assert "networks.frankfurt.cidr: 10.60.0.0/28 is too small" in says
    assert "Use a network between /16 and /24." in says
    assert "Unexpected" not in says, "a fault of the component, with a traceback"
    assert "network.py" not in says
    assert len(stack.boto("ec2").describe_vpcs()["Vpcs"]) == 1, "the account's default one"
