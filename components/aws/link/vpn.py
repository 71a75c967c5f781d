"""Creates a site-to-site VPN: two tunnels with strong ciphers. AWS creates and stores their keys."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pulumi

from components.aws.common.log_group import LogGroupOptions, SealedLogGroup, create_log_group
from components.aws.link.options import LinkOptions

TUNNELS = (1, 2)
LARGEST_PLAIN_ASN = 2147483647
"""A customer gateway takes larger numbers in another argument (pulumi-aws 7.51.1)."""

STRONG: dict[str, Any] = {
    "ike_versions": ["ikev2"],
    "phase1_encryption_algorithms": ["AES256-GCM-16"],
    "phase1_integrity_algorithms": ["SHA2-384", "SHA2-512"],
    "phase1_dh_group_numbers": [20, 21],
    "phase2_encryption_algorithms": ["AES256-GCM-16"],
    "phase2_integrity_algorithms": ["SHA2-384", "SHA2-512"],
    "phase2_dh_group_numbers": [20, 21],
    # AWS restarts a tunnel itself after the site's device was unreachable.
    "dpd_timeout_action": "restart",
    "dpd_timeout_seconds": 30,
}
"""Options of each tunnel: IKEv2, AES-256-GCM, SHA-384 or SHA-512, elliptic curves P-384 or P-521. By default, AWS
also offers AES-128, SHA-1 and DH group 2 (AWS Landing Zone Accelerator's reference, read 2026-11-25)."""
KEYS = ["tunnel1PresharedKey", "tunnel2PresharedKey", "customerGatewayConfiguration"]
"""Outputs that contain a key if AWS returns it. With keys in Secrets Manager it should not. If it does, the state
has them encrypted."""


@dataclass(frozen=True)
class SiteEnd:
    """The VPN device of the site."""

    peer_ip: str
    """Its public address."""
    asn: int
    """Its BGP number."""


@dataclass(frozen=True)
class TunnelLog:
    """The log of the tunnels and its retention."""

    region: str
    days: int
    where: str
    """Path of the setting `days`, for messages."""


class Vpn(NamedTuple):
    """The created VPN: ids, and the ARN of the keys' secret."""

    connection_id: pulumi.Output[str]
    attachment_id: pulumi.Output[str]
    preshared_key_arn: pulumi.Output[str]


def create(link: LinkOptions, gateway: pulumi.Input[str], site: SiteEnd, tunnel_log: TunnelLog) -> Vpn:
    """Create the customer gateway, the connection with its two tunnels, and their log."""
    from pulumi_aws import ec2

    peer = _create_customer_gateway(link, site)
    log = _create_log(link, tunnel_log)
    connection = ec2.VpnConnection(
        f"{link.name}-vpn",
        type="ipsec.1",
        customer_gateway_id=peer.id,
        transit_gateway_id=gateway,
        # BGP, so that a dead tunnel loses its routes.
        static_routes_only=False,
        preshared_key_storage="SecretsManager",
        tags={**link.tags, "Name": link.name},
        opts=pulumi.ResourceOptions(parent=link.parent, additional_secret_outputs=KEYS),
        **_tunnel_arguments(log),
    )
    return Vpn(connection.id, connection.transit_gateway_attachment_id, connection.preshared_key_arn)


def _create_customer_gateway(link: LinkOptions, site: SiteEnd) -> Any:
    """The customer gateway, which is AWS's name for the site's end."""
    from pulumi_aws import ec2

    asn_argument = {"bgp_asn" if site.asn <= LARGEST_PLAIN_ASN else "bgp_asn_extended": str(site.asn)}
    return ec2.CustomerGateway(
        f"{link.name}-peer",
        type="ipsec.1",
        ip_address=site.peer_ip,
        tags={**link.tags, "Name": link.name},
        opts=link.child,
        **asn_argument,
    )


def _create_log(link: LinkOptions, tunnel_log: TunnelLog) -> SealedLogGroup:
    from pulumi_aws import get_caller_identity_output

    account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=link.parent)).account_id
    return create_log_group(
        f"{link.name}-tunnel",
        f"/isthmus/link/{link.name}/tunnel-",
        tunnel_log.days,
        tunnel_log.where,
        LogGroupOptions(tunnel_log.region, account, link.tags, link.child),
    )


def _tunnel_arguments(log: SealedLogGroup) -> dict[str, Any]:
    """Arguments of the connection for both tunnels: ciphers, and the log."""
    log_options = {
        "cloudwatch_log_options": {
            "log_enabled": True,
            "log_group_arn": log.arn,
            "log_output_format": "json",
        }
    }
    return {
        f"tunnel{tunnel}_{key}": value
        for tunnel in TUNNELS
        for key, value in {**STRONG, "log_options": log_options}.items()
    }
