"""Site-to-site VPN: customer gateways, connections with their tunnels' options, and where the keys lie.

moto keeps neither options nor keys, and shows one made-up configuration with one key for all. What is kept
here hangs on moto's own objects and goes with them.

Where the keys lie, as AWS has it: `Standard`, and every answer shows them; `SecretsManager`, and they are
in a secret of the account, whose ARN is shown, while every answer says REDACTED in their place
(hashicorp/terraform-provider-aws, pull request 42819, 2025-05-30). The secret's name starts with `s2svpn!`
and its tag `aws:secretsmanager:owningService` says `s2svpn` (AWS's policy AWSVPCS2SVpnServiceRolePolicy,
version of 2025-05-15). What follows in the name, and the names in the secret's JSON, are ours.
"""

from __future__ import annotations

import ipaddress
import json
import uuid
from typing import Any

from sandbox.aws.beside.ec2_transit_gateway import attach, detach, ec2, found, gateway, tags_in, tags_of
from sandbox.aws.beside.ec2_vpn_config import written
from sandbox.aws.beside.ec2_vpn_tunnel import answered, checked, new, new_key, wrong
from sandbox.aws.service_frame import Asked, Operation, Refused

REDACTED = "REDACTED"
STORAGES = ("Standard", "SecretsManager")


def _connection(asked: Asked) -> Any:
    id = asked.params["VpnConnectionId"]
    return found(ec2(asked).vpn_connections, id, "InvalidVpnConnectionID.NotFound", "The vpnConnection ID")


def _tunnels(connection: Any) -> list[dict[str, Any]]:
    return getattr(connection, "kept", {}).get("tunnels", [])


def _vault(asked: Asked) -> Any:
    from moto.secretsmanager.models import secretsmanager_backends

    return secretsmanager_backends[asked.account][asked.region]


def create_customer_gateway(asked: Asked) -> dict[str, Any]:
    given = asked.params
    address = given.get("IpAddress") or given.get("PublicIp")
    try:
        ipaddress.ip_address(address or "")
    except ValueError:
        if not given.get("CertificateArn"):
            raise wrong("IpAddress") from None
    asn = given.get("BgpAsnExtended") or given.get("BgpAsn") or 65000
    tags = tags_of(asked, "customer-gateway")
    made = ec2(asked).create_customer_gateway(given["Type"], address, str(asn), tags)
    made.device_name, made.certificate_arn = given.get("DeviceName"), given.get("CertificateArn")
    if given.get("BgpAsnExtended"):
        made.bgp_asn_extended = str(asn)
    return {"CustomerGateway": _customer_gateway(made)}


def _customer_gateway(made: Any) -> dict[str, Any]:
    shown = {
        "CustomerGatewayId": made.id,
        "Type": made.type,
        "IpAddress": made.ip_address,
        "BgpAsn": made.bgp_asn,
        "BgpAsnExtended": getattr(made, "bgp_asn_extended", None),
        "DeviceName": made.device_name,
        "CertificateArn": made.certificate_arn,
        "State": made.state,
        "Tags": tags_in(made),
    }
    return {name: value for name, value in shown.items() if value is not None}


def delete_customer_gateway(asked: Asked) -> dict[str, Any]:
    backend, id = ec2(asked), asked.params["CustomerGatewayId"]
    found(backend.customer_gateways, id, "InvalidCustomerGatewayID.NotFound", "The customerGateway ID")
    users = [one for one in backend.vpn_connections.values() if one.customer_gateway_id == id]
    if any(one.state != "deleted" for one in users):
        raise Refused("IncorrectState", 400, "The customer gateway is in use.")
    del backend.customer_gateways[id]
    backend.tags.pop(id, None)
    return {}


def create_connection(asked: Asked) -> dict[str, Any]:
    """A connection of two tunnels. Only to a transit gateway: the sandbox needs no other."""
    given, backend = asked.params, ec2(asked)
    storage = given.get("PreSharedKeyStorage", "Standard")
    if storage not in STORAGES:
        raise wrong("PreSharedKeyStorage")
    peer, hub = given["CustomerGatewayId"], given.get("TransitGatewayId")
    found(backend.customer_gateways, peer, "InvalidCustomerGatewayID.NotFound", "The customerGateway ID")
    if not hub:
        raise Refused("InvalidParameterCombination", 400, "Only connections to a transit gateway are served.")
    gateway(asked, hub)
    options = {name: value for name, value in given.get("Options", {}).items() if name != "TunnelOptions"}
    wanted = [checked(each) for each in given.get("Options", {}).get("TunnelOptions", ())]
    if len(wanted) > 2:
        raise Refused("InvalidParameterValue", 400, "A connection has two tunnels.")
    taken = {each["TunnelInsideCidr"] for one in backend.vpn_connections.values() for each in _tunnels(one)}
    tunnels: list[dict[str, Any]] = []
    for index in range(2):
        tunnels.append(new(index, wanted[index] if index < len(wanted) else {}, taken) | {"storage": storage})
        taken.add(tunnels[-1]["TunnelInsideCidr"])
    if tunnels[0]["TunnelInsideCidr"] == tunnels[1]["TunnelInsideCidr"]:
        raise wrong("TunnelInsideCidr")
    tags = tags_of(asked, "vpn-connection")
    made = backend.create_vpn_connection(given["Type"], peer, transit_gateway_id=hub, tags=tags)
    made.kept = {"options": options, "tunnels": tunnels, "secret": None}
    made.kept["attachment"] = attach(asked, hub, made.id, "vpn")
    _keep_keys(asked, made)
    return {"VpnConnection": _shown(asked, made)}


def _keep_keys(asked: Asked, made: Any) -> None:
    """The secret of a connection holds the keys of the tunnels that keep theirs there, and no others."""
    vault, held = _vault(asked), made.kept
    keys = {
        f"tunnel{number}": tunnel["PreSharedKey"]
        for number, tunnel in enumerate(held["tunnels"], 1)
        if tunnel["storage"] == "SecretsManager"
    }
    there = held["secret"] if held["secret"] and held["secret"] in vault.secrets else None
    if not keys:
        if there:
            vault.delete_secret(there, None, force_delete_without_recovery=True)
        held["secret"] = None
    elif there:
        vault.put_secret_value(there, json.dumps(keys), None, str(uuid.uuid4()), ["AWSCURRENT"])
    else:
        held["secret"] = _new_secret(vault, made.id, json.dumps(keys))


def _new_secret(vault: Any, connection: str, keys: str) -> str:
    """The ARN of a new secret, which the service owns."""
    answer = vault.create_secret(
        name=f"s2svpn!{connection}",
        secret_string=keys,
        secret_binary=None,
        description=f"Pre-shared keys of {connection}",
        tags=[{"Key": "aws:secretsmanager:owningService", "Value": "s2svpn"}],
        kms_key_id=None,
        client_request_token=None,
        replica_regions=[],
        force_overwrite=False,
    )
    return str(json.loads(answer)["ARN"])


def _shown(asked: Asked, made: Any) -> dict[str, Any]:
    """A connection as AWS shows it: no key that lies in Secrets Manager, nowhere in it."""
    backend, held = ec2(asked), made.kept
    open_keys = [
        {**tunnel, "PreSharedKey": REDACTED} if tunnel["storage"] == "SecretsManager" else tunnel
        for tunnel in held["tunnels"]
    ]
    site = backend.customer_gateways[made.customer_gateway_id]
    hub = backend.transit_gateways[made.transit_gateway_id]
    shown = {
        "VpnConnectionId": made.id,
        "State": made.state,
        "Type": made.type,
        "Category": "VPN",
        "CustomerGatewayId": made.customer_gateway_id,
        "TransitGatewayId": made.transit_gateway_id,
        "GatewayAssociationState": "associated",
        "Options": {
            "EnableAcceleration": False,
            "StaticRoutesOnly": False,
            "LocalIpv4NetworkCidr": "0.0.0.0/0",
            "RemoteIpv4NetworkCidr": "0.0.0.0/0",
            "OutsideIpAddressType": "PublicIpv4",
            "TunnelInsideIpVersion": "ipv4",
            **held["options"],
            "TunnelOptions": [answered(each) for each in open_keys],
        },
        "CustomerGatewayConfiguration": written(made, open_keys, site, hub),
        "PreSharedKeyArn": held["secret"],
        "Tags": tags_in(made),
    }
    return {name: value for name, value in shown.items() if value is not None}


def describe_connections(asked: Asked) -> dict[str, Any]:
    """All, by id, or by the filters `vpn-connection-id`, `transit-gateway-id`, `state` and tags."""
    kept, ids = ec2(asked).vpn_connections, asked.params.get("VpnConnectionIds")
    for id in ids or ():
        found(kept, id, "InvalidVpnConnectionID.NotFound", "The vpnConnection ID")
    chosen = [one for one in kept.values() if (not ids or one.id in ids) and _tunnels(one)]
    for each in asked.params.get("Filters", ()):
        chosen = [one for one in chosen if _passes(one, each["Name"], each.get("Values", ()))]
    return {"VpnConnections": [_shown(asked, one) for one in chosen]}


def _passes(made: Any, name: str, values: Any) -> bool:
    if name.startswith("tag:"):
        return any(
            tag["Key"] == name.removeprefix("tag:") and tag["Value"] in values for tag in tags_in(made)
        )
    of = {
        "vpn-connection-id": made.id,
        "transit-gateway-id": made.transit_gateway_id,
        "customer-gateway-id": made.customer_gateway_id,
        "state": made.state,
        "type": made.type,
    }
    if name not in of:
        raise Refused("InvalidParameterValue", 400, f"The filter {name} is not served here.")
    return of[name] in values


def modify_tunnel(asked: Asked) -> dict[str, Any]:
    """One tunnel, by its outside address; a key that moves elsewhere is made anew unless given."""
    made, address = _connection(asked), asked.params["VpnTunnelOutsideIpAddress"]
    tunnel = next((one for one in _tunnels(made) if one["OutsideIpAddress"] == address), None)
    if tunnel is None:
        raise wrong("VpnTunnelOutsideIpAddress")
    options = checked(asked.params["TunnelOptions"])
    storage = asked.params.get("PreSharedKeyStorage", tunnel["storage"])
    if storage not in STORAGES:
        raise wrong("PreSharedKeyStorage")
    if storage != tunnel["storage"]:
        options.setdefault("PreSharedKey", new_key())
    tunnel |= {**options, "storage": storage}
    _keep_keys(asked, made)
    return {"VpnConnection": _shown(asked, made)}


def modify_connection(asked: Asked) -> dict[str, Any]:
    """Another customer gateway, or another transit gateway: then the attachment is another, too."""
    made, backend = _connection(asked), ec2(asked)
    peer, hub = asked.params.get("CustomerGatewayId"), asked.params.get("TransitGatewayId")
    if peer:
        found(backend.customer_gateways, peer, "InvalidCustomerGatewayID.NotFound", "The customerGateway ID")
        made.customer_gateway_id = peer
    if hub and hub != made.transit_gateway_id:
        gateway(asked, hub)
        detach(asked, made.kept["attachment"])
        made.transit_gateway_id = hub
        made.kept["attachment"] = attach(asked, hub, made.id, "vpn")
    return {"VpnConnection": _shown(asked, made)}


def modify_options(asked: Asked) -> dict[str, Any]:
    made = _connection(asked)
    left = ("VpnConnectionId", "DryRun")
    made.kept["options"] |= {name: value for name, value in asked.params.items() if name not in left}
    return {"VpnConnection": _shown(asked, made)}


def delete_connection(asked: Asked) -> dict[str, Any]:
    """The attachment and the secret go with it. A deleted connection is not shown here any more."""
    made = _connection(asked)
    detach(asked, made.kept["attachment"])
    for tunnel in _tunnels(made):
        tunnel["storage"] = "Standard"
    _keep_keys(asked, made)
    del ec2(asked).vpn_connections[made.id]
    ec2(asked).tags.pop(made.id, None)
    return {}


OPERATIONS = tuple(
    Operation("ec2", name, answer)
    for name, answer in {
        "CreateCustomerGateway": create_customer_gateway,
        "DeleteCustomerGateway": delete_customer_gateway,
        "CreateVpnConnection": create_connection,
        "DescribeVpnConnections": describe_connections,
        "ModifyVpnConnection": modify_connection,
        "ModifyVpnConnectionOptions": modify_options,
        "ModifyVpnTunnelOptions": modify_tunnel,
        "DeleteVpnConnection": delete_connection,
    }.items()
)
