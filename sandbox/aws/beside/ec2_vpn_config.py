"""The configuration that AWS writes for the site's end of a VPN connection, as XML."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

_HOLD_SECONDS = 30
"""BGP's hold time, as AWS sets it."""


def _put(parent: ElementTree.Element, **texts: Any) -> None:
    for name, text in texts.items():
        ElementTree.SubElement(parent, name).text = str(text)


def _end(parent: ElementTree.Element, name: str, outside: str, inside: Any, asn: Any) -> None:
    end = ElementTree.SubElement(parent, name)
    _put(ElementTree.SubElement(end, "tunnel_outside_address"), ip_address=outside)
    mask = {"network_mask": "255.255.255.252", "network_cidr": 30}
    _put(ElementTree.SubElement(end, "tunnel_inside_address"), ip_address=inside, **mask)
    _put(ElementTree.SubElement(end, "bgp"), asn=asn, hold_time=_HOLD_SECONDS)


def written(connection: Any, tunnels: Sequence[Mapping[str, Any]], site: Any, hub: Any) -> str:
    """The XML. Its keys are those of `tunnels`: what they redact is redacted here."""
    root = ElementTree.Element("vpn_connection", id=connection.id)
    _put(
        root,
        customer_gateway_id=connection.customer_gateway_id,
        vpn_gateway_id="",
        vpn_connection_type=connection.type,
    )
    for tunnel in tunnels:
        aws, ours = ipaddress.ip_network(tunnel["TunnelInsideCidr"]).hosts()
        element = ElementTree.SubElement(root, "ipsec_tunnel")
        _end(element, "customer_gateway", site.ip_address or "", ours, site.bgp_asn)
        amazon = hub.options["AmazonSideAsn"]
        _end(element, "vpn_gateway", tunnel["OutsideIpAddress"], aws, amazon)
        ike = ElementTree.SubElement(element, "ike")
        _put(
            ike, lifetime=tunnel["Phase1LifetimeSeconds"], mode="main", pre_shared_key=tunnel["PreSharedKey"]
        )
        ipsec = ElementTree.SubElement(element, "ipsec")
        _put(ipsec, protocol="esp", lifetime=tunnel["Phase2LifetimeSeconds"], mode="tunnel")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")
