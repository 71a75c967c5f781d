"""The state's file holds no key of a VPN's tunnels in the clear: neither one that AWS keeps nor one that it shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws_sandbox.stack import Stack, endpoint

pytestmark = pytest.mark.sandbox
OWN = "a_key.of.the.site.0123456789"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with endpoint() as url:
        new_stack = Stack(tmp_path, url)
        yield new_stack
        new_stack.stack.destroy()


def test_no_key_of_either_kind_stands_in_the_state_s_file_in_the_clear(stack: Stack, tmp_path: Path) -> None:
    def program() -> None:
        import pulumi
        import pulumi_aws as aws

        from isthmus.contracts.platform.model.platform import Site
        from stacks import providers

        place = Site(name="frankfurt", kind="aws", jurisdiction="de", region="eu-central-1")
        opts = pulumi.ResourceOptions(provider=providers.aws(place, {}, sandbox=True))
        peer = aws.ec2.CustomerGateway(
            "peer", type="ipsec.1", ip_address="192.0.2.9", bgp_asn="65010", opts=opts
        )
        gateway = aws.ec2transitgateway.TransitGateway("hub", opts=opts)
        ends: Any = {"type": "ipsec.1", "customer_gateway_id": peer.id, "transit_gateway_id": gateway.id}
        retained = aws.ec2.VpnConnection("kept", preshared_key_storage="SecretsManager", opts=opts, **ends)
        known = aws.ec2.VpnConnection("known", tunnel1_preshared_key=OWN, opts=opts, **ends)
        pulumi.export("ids", [retained.id, known.id])

    stack.own(program)
    stack.up()
    stack.stack.refresh()
    ec2, files = stack.boto("ec2"), [file for file in (tmp_path / "state").rglob("*") if file.is_file()]
    state = "\n".join(file.read_text(errors="replace") for file in files)
    ids = stack.outputs()["ids"]
    assert all(id in state for id in ids), "the state that was searched is not this stack's"
    output = ec2.describe_vpn_connections(VpnConnectionIds=ids)["VpnConnections"]
    secret = next(entry["PreSharedKeyArn"] for entry in output if entry.get("PreSharedKeyArn"))
    hidden = json.loads(stack.boto("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])
    open_ = [tunnel["PreSharedKey"] for entry in output for tunnel in entry["Options"]["TunnelOptions"]]
    actual = {*hidden.values(), *open_} - {"REDACTED"}
    assert OWN in actual
    assert len(actual) == 4
    assert not [key for key in actual if key in state]
    assert "pre_shared_key" not in state, "the configuration for the site's device is in the clear"
