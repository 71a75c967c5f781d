"""The keys of a VPN's tunnels: in Secrets Manager and nowhere else, or marked as secrets wherever they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from pulumi.runtime.proto import provider_pb2 as pb

from sandbox.aws.struct_values import struct
from tests.aws_sandbox.cases.link import hub, site, vpn
from tests.aws_sandbox.driver import Client, Refusal, World

VPN = "aws:ec2/vpnConnection:VpnConnection"
HOLDING = ("tunnel1PresharedKey", "tunnel2PresharedKey", "customerGatewayConfiguration")
OWN = "a_key.of.the.site.0123456789"
_SIGNATURE, _SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"


def plain(world: World, **more: Any) -> dict[str, Any]:
    """A connection whose keys AWS shows to whoever asks."""
    return {"type": "ipsec.1", "customerGatewayId": site(world), "transitGatewayId": hub(world), **more}


def keys(world: World, arn: str) -> dict[str, str]:
    """The keys in the secret, by tunnel."""
    return json.loads(world.boto("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])


def shown(world: World, id: str) -> Any:
    """The connection as AWS shows it, and its text whole."""
    answer = world.boto("ec2").describe_vpn_connections(VpnConnectionIds=[id])["VpnConnections"][0]
    return answer, json.dumps(answer, default=str)


def in_the_clear(value: Any) -> str:
    """All that a message to the engine says outside its marked secrets."""
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return ""
        return " ".join(f"{name} {in_the_clear(part)}" for name, part in value.items())
    return " ".join(map(in_the_clear, value)) if isinstance(value, list) else str(value)


# -- in Secrets Manager


def test_with_its_keys_in_secrets_manager_nothing_that_the_provider_says_holds_one(
    client: Client, world: World
) -> None:
    inputs = client.checked(VPN, vpn(world))
    id, state = client.create(VPN, inputs)
    created = keys(world, state["presharedKeyArn"])
    assert sorted(created) == ["tunnel1", "tunnel2"]
    assert len({*created.values()}) == 2, "each tunnel has a key of its own"
    assert all(len(key) == 32 for key in created.values())
    _, read, read_id = client.read(VPN, id, state, inputs)
    _, imported, importing = client.read(VPN, id)
    document = json.dumps([state, read, read_id, imported, importing]) + shown(world, id)[1]
    assert "REDACTED" in document
    assert not [key for key in created.values() if key in document]


def test_the_secret_is_the_service_s_own_and_goes_with_the_connection(client: Client, world: World) -> None:
    id, state = client.create(VPN, client.checked(VPN, vpn(world)))
    secrets = world.boto("secretsmanager")
    answer = secrets.describe_secret(SecretId=state["presharedKeyArn"])
    assert answer["Name"] == f"s2svpn!{id}"
    assert {"Key": "aws:secretsmanager:owningService", "Value": "s2svpn"} in answer["Tags"]
    client.delete(VPN, id, state)
    with pytest.raises(secrets.exceptions.ResourceNotFoundException):
        secrets.describe_secret(SecretId=state["presharedKeyArn"])


def test_a_key_of_our_own_goes_into_the_secret_and_is_not_shown(client: Client, world: World) -> None:
    inputs = client.checked(VPN, {**vpn(world), "tunnel1PresharedKey": OWN})
    id, state = client.create(VPN, inputs)
    created = keys(world, state["presharedKeyArn"])
    assert created["tunnel1"] == OWN
    assert created["tunnel2"] != OWN
    assert OWN not in json.dumps(state) + shown(world, id)[1]
    diff = client.diff(VPN, id, state, inputs)
    assert diff.changes == pb.DiffResponse.DIFF_NONE, "what AWS does not show is taken to be as it was given"


def test_another_key_of_our_own_is_put_into_the_same_secret(client: Client, world: World) -> None:
    inputs = client.checked(VPN, vpn(world))
    id, state = client.create(VPN, inputs)
    other = keys(world, state["presharedKeyArn"])["tunnel2"]
    changed = {**inputs, "tunnel1PresharedKey": OWN, "tunnel1StartupAction": "add"}
    after = client.update(VPN, id, state, changed)
    assert after["presharedKeyArn"] == state["presharedKeyArn"]
    assert keys(world, after["presharedKeyArn"]) == {"tunnel1": OWN, "tunnel2": other}
    assert OWN not in json.dumps(after)


def test_keys_that_move_to_secrets_manager_are_new_ones(client: Client, world: World) -> None:
    """The old ones stood where anybody could read them."""
    inputs = client.checked(VPN, plain(world))
    id, state = client.create(VPN, inputs)
    old = [state["tunnel1PresharedKey"], state["tunnel2PresharedKey"]]
    assert all(key in shown(world, id)[1] for key in old)
    after = client.update(VPN, id, state, {**inputs, "presharedKeyStorage": "SecretsManager"})
    new = keys(world, after["presharedKeyArn"])
    assert not {*old} & {*new.values()}
    document = json.dumps(after) + shown(world, id)[1]
    assert not [key for key in (*old, *new.values()) if key in document]
    back = client.update(VPN, id, after, {**inputs, "presharedKeyStorage": "Standard"})
    assert "presharedKeyArn" not in back
    assert back["tunnel1PresharedKey"] not in (*old, *new.values())


# -- where AWS shows them


def test_keys_that_aws_shows_are_marked_as_secrets_whoever_asks(client: Client, world: World) -> None:
    values = client.checked(VPN, plain(world, tunnel1PresharedKey=OWN))
    urn = client.urn(VPN)
    created = client.stub.Create(pb.CreateRequest(urn=urn, properties=struct(values)))
    state = created.properties
    read = client.stub.Read(pb.ReadRequest(id=created.id, urn=urn, properties=state, inputs=struct(values)))
    imported = client.stub.Read(pb.ReadRequest(id=created.id, urn=urn))
    news = struct({**values, "tags": {"class": "internal"}})
    updated = client.stub.Update(pb.UpdateRequest(id=created.id, urn=urn, olds=state, news=news))
    other = shown(world, created.id)[0]["Options"]["TunnelOptions"][1]["PreSharedKey"]
    answers = {
        "create": state,
        "read": read.properties,
        "its inputs": read.inputs,
        "import": imported.properties,
        "imported inputs": imported.inputs,
        "update": updated.properties,
    }
    for what, answer in answers.items():
        output = in_the_clear(json_format.MessageToDict(answer))
        assert output, what
        assert OWN not in output, f"{what} shows a key that was given"
        assert other not in output, f"{what} shows a key that AWS made"
    for answer in (state, read.properties, imported.properties, updated.properties):
        marked = json_format.MessageToDict(answer)
        assert all(marked[name][_SIGNATURE] == _SECRET for name in HOLDING)


def test_the_configuration_for_the_site_holds_the_key_and_is_a_secret_with_it(
    client: Client, world: World
) -> None:
    _, state = client.create(VPN, client.checked(VPN, plain(world, tunnel2PresharedKey=OWN)))
    assert f"<pre_shared_key>{OWN}</pre_shared_key>" in state["customerGatewayConfiguration"]


@pytest.mark.parametrize("key", ["short", "0" * 32, "a" * 65, "with a space in it", "schlüssel-schlüssel"])
@pytest.mark.parametrize("storage", ["Standard", "SecretsManager"])
def test_a_key_that_aws_does_not_take_is_refused_and_not_repeated(
    client: Client, world: World, key: str, storage: str
) -> None:
    request = plain(world, tunnel1PresharedKey=key, presharedKeyStorage=storage)
    with pytest.raises(Refusal, match="PreSharedKey") as refusal:
        client.create(VPN, request)
    assert key not in str(refusal.value)
    assert not [
        vpn_connection
        for vpn_connection in world.boto("ec2").describe_vpn_connections()["VpnConnections"]
        if vpn_connection["CustomerGatewayId"] == request["customerGatewayId"]
    ]
