"""Writes the XML configuration for the customer's end of a VPN connection, as AWS does."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

_HOLD_SECONDS = 30
"""BGP's hold time, as AWS sets it."""


def _add_elements(parent: ElementTree.Element, **texts: Any) -> None:
    for name, text in texts.items():
        ElementTree.SubElement(parent, name).text = str(text)


def _add_tunnel_end(parent: ElementTree.Element, name: str, outside: str, inside: Any, asn: Any) -> None:
    end = ElementTree.SubElement(parent, name)
    _add_elements(ElementTree.SubElement(end, "tunnel_outside_address"), ip_address=outside)
    mask = {"network_mask": "255.255.255.252", "network_cidr": 30}
    _add_elements(ElementTree.SubElement(end, "tunnel_inside_address"), ip_address=inside, **mask)
    _add_elements(ElementTree.SubElement(end, "bgp"), asn=asn, hold_time=_HOLD_SECONDS)


def write_configuration(
    connection: Any, tunnels: Sequence[Mapping[str, Any]], customer_gateway: Any, transit_gateway: Any
) -> str:
    """Return the XML. It contains the keys as they are in `tunnels`, redacted or not."""
    root = ElementTree.Element("vpn_connection", id=connection.id)
    _add_elements(
        root,
        customer_gateway_id=connection.customer_gateway_id,
        vpn_gateway_id="",
        vpn_connection_type=connection.type,
    )
    for tunnel in tunnels:
        aws_address, site_address = ipaddress.ip_network(tunnel["TunnelInsideCidr"]).hosts()
        element = ElementTree.SubElement(root, "ipsec_tunnel")
        _add_tunnel_end(
            element,
            "customer_gateway",
            customer_gateway.ip_address or "",
            site_address,
            customer_gateway.bgp_asn,
        )
        amazon = transit_gateway.options["AmazonSideAsn"]
        _add_tunnel_end(element, "vpn_gateway", tunnel["OutsideIpAddress"], aws_address, amazon)
        ike = ElementTree.SubElement(element, "ike")
        _add_elements(
            ike, lifetime=tunnel["Phase1LifetimeSeconds"], mode="main", pre_shared_key=tunnel["PreSharedKey"]
        )
        ipsec = ElementTree.SubElement(element, "ipsec")
        _add_elements(ipsec, protocol="esp", lifetime=tunnel["Phase2LifetimeSeconds"], mode="tunnel")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")
