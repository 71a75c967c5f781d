"""Amazon EC2: the site's end of a VPN (customer gateway) and the connection with its two tunnels.

Where the pre-shared keys lie in Secrets Manager, AWS answers REDACTED in their place, so neither a property
nor the configuration holds one; where they do not, these properties are secrets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from sandbox.aws.model import Call, Facet, Scope, Type, list_all_ids
from sandbox.aws.schema import Prop, has_same_members, to_api
from sandbox.aws.table.ec2_tags import REGION, TAGGING, TAGS, arn, tag_specifications

_GATEWAY_GONE = ("InvalidCustomerGatewayID.NotFound",)
_GONE = ("InvalidVpnConnectionID.NotFound",)


def _same_number(left: Any, right: Any) -> bool:
    return str(left) == str(right)


CUSTOMER_GATEWAY = Type(
    "aws:ec2/customerGateway:CustomerGateway",
    service="ec2",
    id="{id}",
    inputs={
        "bgpAsn": Prop(replace=True, computed=True, alike=_same_number),
        "bgpAsnExtended": Prop(replace=True, alike=_same_number),
        "certificateArn": Prop(replace=True),
        "deviceName": Prop(replace=True),
        "ipAddress": Prop(replace=True),
        "type": Prop(required=True, replace=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_customer_gateway",
        {
            "BgpAsn": lambda scope: int(scope["bgpAsn"]) if scope.get("bgpAsn") else None,
            "BgpAsnExtended": lambda scope: (
                int(scope["bgpAsnExtended"]) if scope.get("bgpAsnExtended") else None
            ),
            "CertificateArn": "$certificateArn",
            "DeviceName": "$deviceName",
            "IpAddress": "$ipAddress",
            "Type": "$type",
            "TagSpecifications": tag_specifications("customer-gateway"),
        },
        result={"id": "CustomerGateway.CustomerGatewayId"},
    ),
    list_all=list_all_ids("describe_customer_gateways", "CustomerGateways[].CustomerGatewayId"),
    reads=(
        Call(
            "describe_customer_gateways",
            {"CustomerGatewayIds": ["$id"]},
            pick="CustomerGateways[0]",
            result={
                "bgpAsn": "BgpAsn",
                "bgpAsnExtended": "BgpAsnExtended",
                "certificateArn": "CertificateArn",
                "deviceName": "DeviceName",
                "ipAddress": "IpAddress",
                "type": "Type",
                "tagsAll": "Tags",
            },
            absent=_GATEWAY_GONE,
        ),
    ),
    tagging=TAGGING,
    delete=Call("delete_customer_gateway", {"CustomerGatewayId": "$id"}, absent=_GATEWAY_GONE),
    computed={"arn": arn("customer-gateway")},
    limits="Whether anything answers at the address. In AWS a second one of the same address, number and "
    "device name is the first one again; here it is another.",
)

_CIPHERS = ["AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16"]
_HASHES = ["SHA1", "SHA2-256", "SHA2-384", "SHA2-512"]
_GROUPS = [2, *range(14, 25)]
_LOG = Prop(
    "object",
    computed=True,
    fields={
        "cloudwatchLogOptions": Prop(
            "object",
            api="CloudWatchLogOptions",
            fields={
                "logEnabled": Prop("flag", default=False),
                "logGroupArn": Prop(),
                "logOutputFormat": Prop(computed=True),
                "bgpLogEnabled": Prop("flag", default=False),
                "bgpLogGroupArn": Prop(),
                "bgpLogOutputFormat": Prop(computed=True),
            },
        )
    },
)


def _any_of(values: list[Any]) -> Prop:
    """Return a list of alternatives, in any order. Default: all that AWS supports."""
    return Prop("list", default=values, alike=has_same_members)


REDACTED = "REDACTED"


def _same_key(expected: Any, actual: Any) -> bool:
    """Compare keys. A key that AWS does not show counts as equal."""
    return bool(actual in (expected, REDACTED))


_TUNNEL: dict[str, Prop] = {
    "DpdTimeoutAction": Prop(default="clear"),
    "DpdTimeoutSeconds": Prop("number", default=30),
    "EnableTunnelLifecycleControl": Prop("flag", default=False),
    "IkeVersions": _any_of(["ikev1", "ikev2"]),
    "InsideCidr": Prop(replace=True, computed=True),
    "LogOptions": _LOG,
    "Phase1DhGroupNumbers": _any_of(_GROUPS),
    "Phase1EncryptionAlgorithms": _any_of(_CIPHERS),
    "Phase1IntegrityAlgorithms": _any_of(_HASHES),
    "Phase1LifetimeSeconds": Prop("number", default=28800),
    "Phase2DhGroupNumbers": _any_of([2, 5, *_GROUPS[1:]]),
    "Phase2EncryptionAlgorithms": _any_of(_CIPHERS),
    "Phase2IntegrityAlgorithms": _any_of(_HASHES),
    "Phase2LifetimeSeconds": Prop("number", default=3600),
    "PresharedKey": Prop(computed=True, secret=True, alike=_same_key),
    "RekeyFuzzPercentage": Prop("number", default=100),
    "RekeyMarginTimeSeconds": Prop("number", default=540),
    "ReplayWindowSize": Prop("number", default=1024),
    "StartupAction": Prop(default="add"),
}
"""A tunnel's options, by Pulumi's names without `tunnel1` or `tunnel2`. The defaults are AWS's."""
_ANSWERED = {
    "InsideCidr": "TunnelInsideCidr",
    "Phase1DhGroupNumbers": "Phase1DHGroupNumbers",
    "Phase2DhGroupNumbers": "Phase2DHGroupNumbers",
    "PresharedKey": "PreSharedKey",
}
"""Names in answers that differ from Pulumi's."""
_ASKED = {
    **_ANSWERED,
    "DpdTimeoutAction": "DPDTimeoutAction",
    "DpdTimeoutSeconds": "DPDTimeoutSeconds",
    "IkeVersions": "IKEVersions",
}
"""Names in requests, some of which differ from those in answers."""


def _options(number: int, new: bool) -> Callable[[Scope], dict[str, Any]]:
    """Return a function for a tunnel's options in a request. Fixed options are only in the creating request."""

    def build(scope: Scope) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for name, prop in _TUNNEL.items():
            value = scope.get(f"tunnel{number}{name}")
            value = to_api(prop, prop.default if value is None else value)
            if value in (None, REDACTED) or (prop.replace and not new):
                continue
            many = prop.kind == "list"
            options[_ASKED.get(name, name)] = [{"Value": part} for part in value] if many else value
        return options

    return build


def _read(number: int) -> dict[str, str]:
    """Return the JMESPath of a tunnel's options in a connection's answer."""
    at = f"Options.TunnelOptions[{number - 1}]"
    return {
        f"tunnel{number}{name}": f"{at}.{_ANSWERED.get(name, name)}{'[].Value' if prop.kind == 'list' else ''}"
        for name, prop in _TUNNEL.items()
    } | {f"tunnel{number}Address": f"{at}.OutsideIpAddress"}


def _configured(number: int, path: str) -> Callable[[Any], Any]:
    """Return a function that reads a text of a tunnel from the configuration for the customer's end."""

    def read_value(answer: Any) -> Any:
        root = ElementTree.fromstring(answer["CustomerGatewayConfiguration"])  # noqa: S314 - the endpoint's own
        return root.findall("ipsec_tunnel")[number - 1].findtext(path)

    return read_value


def _ends(number: int) -> dict[str, Callable[[Any], Any]]:
    hold = _configured(number, "vpn_gateway/bgp/hold_time")
    return {
        f"tunnel{number}BgpAsn": _configured(number, "vpn_gateway/bgp/asn"),
        f"tunnel{number}BgpHoldtime": lambda answer: int(hold(answer)),
        f"tunnel{number}CgwInsideAddress": _configured(
            number, "customer_gateway/tunnel_inside_address/ip_address"
        ),
        f"tunnel{number}VgwInsideAddress": _configured(
            number, "vpn_gateway/tunnel_inside_address/ip_address"
        ),
    }


def _tunnel_facet(number: int) -> Facet:
    return Facet(
        (
            *(f"tunnel{number}{name}" for name, prop in _TUNNEL.items() if not prop.replace),
            "presharedKeyStorage",
        ),
        put=Call(
            "modify_vpn_tunnel_options",
            {
                "VpnConnectionId": "$id",
                "VpnTunnelOutsideIpAddress": f"$tunnel{number}Address",
                "TunnelOptions": _options(number, new=False),
                "PreSharedKeyStorage": "$presharedKeyStorage",
            },
        ),
    )


_OPTIONS = {
    "enableAcceleration": Prop("flag", replace=True, computed=True),
    "localIpv4NetworkCidr": Prop(computed=True),
    "outsideIpAddressType": Prop(replace=True, computed=True),
    "remoteIpv4NetworkCidr": Prop(computed=True),
    "staticRoutesOnly": Prop("flag", replace=True, computed=True),
    "transportTransitGatewayAttachmentId": Prop(replace=True),
    "tunnelInsideIpVersion": Prop(replace=True, computed=True),
}
_IN_PLACE = ("localIpv4NetworkCidr", "remoteIpv4NetworkCidr")


def _api(name: str) -> str:
    return name[0].upper() + name[1:]


VPN_CONNECTION = Type(
    "aws:ec2/vpnConnection:VpnConnection",
    service="ec2",
    id="{id}",
    inputs={
        "customerGatewayId": Prop(required=True),
        "presharedKeyStorage": Prop(default="Standard"),
        "transitGatewayId": Prop(),
        "type": Prop(required=True, replace=True),
        **_OPTIONS,
        **{f"tunnel{number}{name}": prop for number in (1, 2) for name, prop in _TUNNEL.items()},
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "customerGatewayConfiguration": Prop(computed=True, secret=True),
        "presharedKeyArn": Prop(computed=True),
        "transitGatewayAttachmentId": Prop(),
        **{
            f"tunnel{number}{name}": Prop("number" if name == "BgpHoldtime" else "text")
            for number in (1, 2)
            for name in ("Address", "BgpAsn", "BgpHoldtime", "CgwInsideAddress", "VgwInsideAddress")
        },
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_vpn_connection",
        {
            "CustomerGatewayId": "$customerGatewayId",
            "PreSharedKeyStorage": "$presharedKeyStorage",
            "TransitGatewayId": "$transitGatewayId",
            "Type": "$type",
            "Options": {
                **{_api(name): f"${name}" for name in _OPTIONS},
                "TunnelOptions": [_options(1, new=True), _options(2, new=True)],
            },
            "TagSpecifications": tag_specifications("vpn-connection"),
        },
        result={"id": "VpnConnection.VpnConnectionId"},
    ),
    list_all=list_all_ids("describe_vpn_connections", "VpnConnections[].VpnConnectionId"),
    reads=(
        Call(
            "describe_vpn_connections",
            {"VpnConnectionIds": ["$id"]},
            pick="VpnConnections[0]",
            result={
                "customerGatewayConfiguration": "CustomerGatewayConfiguration",
                "customerGatewayId": "CustomerGatewayId",
                "presharedKeyArn": "PreSharedKeyArn",
                # AWS does not return the storage, but it shows no key with SecretsManager.
                "presharedKeyStorage": f"Options.TunnelOptions[0].PreSharedKey == '{REDACTED}' && "
                "'SecretsManager' || 'Standard'",
                "transitGatewayId": "TransitGatewayId",
                "type": "Type",
                **{name: f"Options.{_api(name)}" for name in _OPTIONS},
                **_read(1),
                **_read(2),
                **_ends(1),
                **_ends(2),
                "tagsAll": "Tags",
            },
            absent=_GONE,
        ),
        Call(
            "describe_transit_gateway_attachments",
            {
                "Filters": [
                    {"Name": "resource-id", "Values": ["$id"]},
                    {"Name": "resource-type", "Values": ["vpn"]},
                ]
            },
            pick="TransitGatewayAttachments[0]",
            result={"transitGatewayAttachmentId": "TransitGatewayAttachmentId"},
        ),
    ),
    facets=(
        Facet(
            ("customerGatewayId", "transitGatewayId"),
            put=Call(
                "modify_vpn_connection",
                {
                    "VpnConnectionId": "$id",
                    "CustomerGatewayId": "$customerGatewayId",
                    "TransitGatewayId": "$transitGatewayId",
                },
            ),
        ),
        Facet(
            _IN_PLACE,
            put=Call(
                "modify_vpn_connection_options",
                {"VpnConnectionId": "$id", **{_api(name): f"${name}" for name in _IN_PLACE}},
            ),
        ),
        _tunnel_facet(1),
        _tunnel_facet(2),
    ),
    tagging=TAGGING,
    delete=Call("delete_vpn_connection", {"VpnConnectionId": "$id"}, absent=_GONE),
    computed={"arn": arn("vpn-connection")},
    limits="No tunnel comes up; its addresses are from ranges for documentation (RFC 5737). Only "
    "connections to a transit gateway. With the keys in Secrets Manager no key is shown, so a later change of "
    "a key that was given is not seen. Absent algorithms and times are recorded as AWS's defaults.",
)

TYPES = (CUSTOMER_GATEWAY, VPN_CONNECTION)
