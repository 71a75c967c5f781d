"""Site-to-site VPN: customer gateways, connections with their tunnels' options, and the storage of keys.

moto stores neither options nor keys, and returns the same made-up configuration for all. The data here is stored in
attributes of moto's objects.

AWS has two storages for pre-shared keys. With `Standard`, every answer shows the keys. With `SecretsManager`, the keys
are in a secret of the account; answers show its ARN, and REDACTED in place of keys
(hashicorp/terraform-provider-aws, pull request 42819, 2025-05-30). The secret's name starts with `s2svpn!`, and its
tag `aws:secretsmanager:owningService` is `s2svpn` (AWS's policy AWSVPCS2SVpnServiceRolePolicy, version of
2025-05-15). The rest of the name and the keys of the secret's JSON are made up.
"""

from __future__ import annotations

import ipaddress
import json
import uuid
from typing import Any

from sandbox.aws.beside.ec2_transit_gateway import (
    attach,
    describe_tags,
    detach,
    find_gateway,
    find_resource,
    moto_backend,
    requested_tags,
)
from sandbox.aws.beside.ec2_vpn_config import write_configuration
from sandbox.aws.beside.ec2_vpn_tunnel import (
    check_options,
    describe_tunnel,
    invalid_parameter,
    new_key,
    new_tunnel,
)
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

REDACTED = "REDACTED"
STORAGES = ("Standard", "SecretsManager")


def _find_connection(request: ServiceRequest) -> Any:
    id = request.params["VpnConnectionId"]
    return find_resource(
        moto_backend(request).vpn_connections, id, "InvalidVpnConnectionID.NotFound", "The vpnConnection ID"
    )


def _tunnels(connection: Any) -> list[dict[str, Any]]:
    return getattr(connection, "vpn_settings", {}).get("tunnels", [])


def _secrets_backend(request: ServiceRequest) -> Any:
    from moto.secretsmanager.models import secretsmanager_backends

    return secretsmanager_backends[request.account][request.region]


def create_customer_gateway(request: ServiceRequest) -> dict[str, Any]:
    params = request.params
    address = params.get("IpAddress") or params.get("PublicIp")
    try:
        ipaddress.ip_address(address or "")
    except ValueError:
        if not params.get("CertificateArn"):
            raise invalid_parameter("IpAddress") from None
    asn = params.get("BgpAsnExtended") or params.get("BgpAsn") or 65000
    tags = requested_tags(request, "customer-gateway")
    site_gateway = moto_backend(request).create_customer_gateway(params["Type"], address, str(asn), tags)
    site_gateway.device_name, site_gateway.certificate_arn = (
        params.get("DeviceName"),
        params.get("CertificateArn"),
    )
    if params.get("BgpAsnExtended"):
        site_gateway.bgp_asn_extended = str(asn)
    return {"CustomerGateway": _describe_customer_gateway(site_gateway)}


def _describe_customer_gateway(site_gateway: Any) -> dict[str, Any]:
    shown = {
        "CustomerGatewayId": site_gateway.id,
        "Type": site_gateway.type,
        "IpAddress": site_gateway.ip_address,
        "BgpAsn": site_gateway.bgp_asn,
        "BgpAsnExtended": getattr(site_gateway, "bgp_asn_extended", None),
        "DeviceName": site_gateway.device_name,
        "CertificateArn": site_gateway.certificate_arn,
        "State": site_gateway.state,
        "Tags": describe_tags(site_gateway),
    }
    return {name: value for name, value in shown.items() if value is not None}


def delete_customer_gateway(request: ServiceRequest) -> dict[str, Any]:
    backend, id = moto_backend(request), request.params["CustomerGatewayId"]
    find_resource(
        backend.customer_gateways, id, "InvalidCustomerGatewayID.NotFound", "The customerGateway ID"
    )
    users = [
        connection for connection in backend.vpn_connections.values() if connection.customer_gateway_id == id
    ]
    if any(connection.state != "deleted" for connection in users):
        raise Refused("IncorrectState", 400, "The customer gateway is in use.")
    del backend.customer_gateways[id]
    backend.tags.pop(id, None)
    return {}


def create_connection(request: ServiceRequest) -> dict[str, Any]:
    """Create a connection of two tunnels to a transit gateway. Virtual private gateways are not supported."""
    params, backend = request.params, moto_backend(request)
    storage = params.get("PreSharedKeyStorage", "Standard")
    if storage not in STORAGES:
        raise invalid_parameter("PreSharedKeyStorage")
    customer_gateway, transit_gateway = params["CustomerGatewayId"], params.get("TransitGatewayId")
    find_resource(
        backend.customer_gateways,
        customer_gateway,
        "InvalidCustomerGatewayID.NotFound",
        "The customerGateway ID",
    )
    if not transit_gateway:
        raise Refused("InvalidParameterCombination", 400, "Only connections to a transit gateway are served.")
    find_gateway(request, transit_gateway)
    options = {name: value for name, value in params.get("Options", {}).items() if name != "TunnelOptions"}
    tunnel_options = [
        check_options(options_given) for options_given in params.get("Options", {}).get("TunnelOptions", ())
    ]
    if len(tunnel_options) > 2:
        raise Refused("InvalidParameterValue", 400, "A connection has two tunnels.")
    used_cidrs = {
        tunnel["TunnelInsideCidr"]
        for connection in backend.vpn_connections.values()
        for tunnel in _tunnels(connection)
    }
    tunnels: list[dict[str, Any]] = []
    for index in range(2):
        tunnels.append(
            new_tunnel(index, tunnel_options[index] if index < len(tunnel_options) else {}, used_cidrs)
            | {"storage": storage}
        )
        used_cidrs.add(tunnels[-1]["TunnelInsideCidr"])
    if tunnels[0]["TunnelInsideCidr"] == tunnels[1]["TunnelInsideCidr"]:
        raise invalid_parameter("TunnelInsideCidr")
    tags = requested_tags(request, "vpn-connection")
    connection = backend.create_vpn_connection(
        params["Type"], customer_gateway, transit_gateway_id=transit_gateway, tags=tags
    )
    connection.vpn_settings = {"options": options, "tunnels": tunnels, "secret": None}
    connection.vpn_settings["attachment"] = attach(request, transit_gateway, connection.id, "vpn")
    _store_keys(request, connection)
    return {"VpnConnection": _describe_connection(request, connection)}


def _store_keys(request: ServiceRequest, connection: Any) -> None:
    """Update the connection's secret: it holds the keys of all tunnels with the storage SecretsManager."""
    vault, settings = _secrets_backend(request), connection.vpn_settings
    keys = {
        f"tunnel{number}": tunnel["PreSharedKey"]
        for number, tunnel in enumerate(settings["tunnels"], 1)
        if tunnel["storage"] == "SecretsManager"
    }
    secret = settings["secret"] if settings["secret"] and settings["secret"] in vault.secrets else None
    if not keys:
        if secret:
            vault.delete_secret(secret, None, force_delete_without_recovery=True)
        settings["secret"] = None
    elif secret:
        vault.put_secret_value(secret, json.dumps(keys), None, str(uuid.uuid4()), ["AWSCURRENT"])
    else:
        settings["secret"] = _new_secret(vault, connection.id, json.dumps(keys))


def _new_secret(vault: Any, connection: str, keys: str) -> str:
    """Create a secret that the VPN service owns, and return its ARN."""
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


def _describe_connection(request: ServiceRequest, connection: Any) -> dict[str, Any]:
    """Return a connection as AWS shows it. Keys in Secrets Manager are redacted everywhere."""
    backend, settings = moto_backend(request), connection.vpn_settings
    shown_tunnels = [
        {**tunnel, "PreSharedKey": REDACTED} if tunnel["storage"] == "SecretsManager" else tunnel
        for tunnel in settings["tunnels"]
    ]
    customer_gateway = backend.customer_gateways[connection.customer_gateway_id]
    transit_gateway = backend.transit_gateways[connection.transit_gateway_id]
    shown = {
        "VpnConnectionId": connection.id,
        "State": connection.state,
        "Type": connection.type,
        "Category": "VPN",
        "CustomerGatewayId": connection.customer_gateway_id,
        "TransitGatewayId": connection.transit_gateway_id,
        "GatewayAssociationState": "associated",
        "Options": {
            "EnableAcceleration": False,
            "StaticRoutesOnly": False,
            "LocalIpv4NetworkCidr": "0.0.0.0/0",
            "RemoteIpv4NetworkCidr": "0.0.0.0/0",
            "OutsideIpAddressType": "PublicIpv4",
            "TunnelInsideIpVersion": "ipv4",
            **settings["options"],
            "TunnelOptions": [describe_tunnel(tunnel) for tunnel in shown_tunnels],
        },
        "CustomerGatewayConfiguration": write_configuration(
            connection, shown_tunnels, customer_gateway, transit_gateway
        ),
        "PreSharedKeyArn": settings["secret"],
        "Tags": describe_tags(connection),
    }
    return {name: value for name, value in shown.items() if value is not None}


def describe_connections(request: ServiceRequest) -> dict[str, Any]:
    """List connections by id and by filters: ids, state, type and tags."""
    connections, ids = moto_backend(request).vpn_connections, request.params.get("VpnConnectionIds")
    for id in ids or ():
        find_resource(connections, id, "InvalidVpnConnectionID.NotFound", "The vpnConnection ID")
    selected = [
        connection
        for connection in connections.values()
        if (not ids or connection.id in ids) and _tunnels(connection)
    ]
    for criterion in request.params.get("Filters", ()):
        selected = [
            connection
            for connection in selected
            if _matches_filter(connection, criterion["Name"], criterion.get("Values", ()))
        ]
    return {"VpnConnections": [_describe_connection(request, connection) for connection in selected]}


def _matches_filter(connection: Any, name: str, values: Any) -> bool:
    if name.startswith("tag:"):
        return any(
            tag["Key"] == name.removeprefix("tag:") and tag["Value"] in values
            for tag in describe_tags(connection)
        )
    filterable = {
        "vpn-connection-id": connection.id,
        "transit-gateway-id": connection.transit_gateway_id,
        "customer-gateway-id": connection.customer_gateway_id,
        "state": connection.state,
        "type": connection.type,
    }
    if name not in filterable:
        raise Refused("InvalidParameterValue", 400, f"The filter {name} is not served here.")
    return filterable[name] in values


def modify_tunnel(request: ServiceRequest) -> dict[str, Any]:
    """Change one tunnel, by its outside address. A new storage means a new key, unless one is given."""
    connection, address = _find_connection(request), request.params["VpnTunnelOutsideIpAddress"]
    tunnel = next(
        (candidate for candidate in _tunnels(connection) if candidate["OutsideIpAddress"] == address), None
    )
    if tunnel is None:
        raise invalid_parameter("VpnTunnelOutsideIpAddress")
    options = check_options(request.params["TunnelOptions"])
    storage = request.params.get("PreSharedKeyStorage", tunnel["storage"])
    if storage not in STORAGES:
        raise invalid_parameter("PreSharedKeyStorage")
    if storage != tunnel["storage"]:
        options.setdefault("PreSharedKey", new_key())
    tunnel |= {**options, "storage": storage}
    _store_keys(request, connection)
    return {"VpnConnection": _describe_connection(request, connection)}


def modify_connection(request: ServiceRequest) -> dict[str, Any]:
    """Change the customer gateway or the transit gateway. Another transit gateway means another attachment."""
    connection, backend = _find_connection(request), moto_backend(request)
    customer_gateway, transit_gateway = (
        request.params.get("CustomerGatewayId"),
        request.params.get("TransitGatewayId"),
    )
    if customer_gateway:
        find_resource(
            backend.customer_gateways,
            customer_gateway,
            "InvalidCustomerGatewayID.NotFound",
            "The customerGateway ID",
        )
        connection.customer_gateway_id = customer_gateway
    if transit_gateway and transit_gateway != connection.transit_gateway_id:
        find_gateway(request, transit_gateway)
        detach(request, connection.vpn_settings["attachment"])
        connection.transit_gateway_id = transit_gateway
        connection.vpn_settings["attachment"] = attach(request, transit_gateway, connection.id, "vpn")
    return {"VpnConnection": _describe_connection(request, connection)}


def modify_options(request: ServiceRequest) -> dict[str, Any]:
    connection = _find_connection(request)
    not_options = ("VpnConnectionId", "DryRun")
    connection.vpn_settings["options"] |= {
        name: value for name, value in request.params.items() if name not in not_options
    }
    return {"VpnConnection": _describe_connection(request, connection)}


def delete_connection(request: ServiceRequest) -> dict[str, Any]:
    """Delete a connection with its attachment and secret. Unlike in AWS, it is no longer listed."""
    connection = _find_connection(request)
    detach(request, connection.vpn_settings["attachment"])
    for tunnel in _tunnels(connection):
        tunnel["storage"] = "Standard"
    _store_keys(request, connection)
    del moto_backend(request).vpn_connections[connection.id]
    moto_backend(request).tags.pop(connection.id, None)
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
