"""Creates a site-to-site VPN: two tunnels with strong ciphers, whose keys AWS generates and keeps."""

from typing import Any, NamedTuple

import pulumi

from components.aws.common.log_group import sealed_log_group

TUNNELS = (1, 2)
LARGEST_PLAIN_ASN = 2147483647
"""Above it a customer gateway takes the number in another argument (pulumi-aws 7.51.1)."""

STRONG: dict[str, Any] = {
    "ike_versions": ["ikev2"],
    "phase1_encryption_algorithms": ["AES256-GCM-16"],
    "phase1_integrity_algorithms": ["SHA2-384", "SHA2-512"],
    "phase1_dh_group_numbers": [20, 21],
    "phase2_encryption_algorithms": ["AES256-GCM-16"],
    "phase2_integrity_algorithms": ["SHA2-384", "SHA2-512"],
    "phase2_dh_group_numbers": [20, 21],
    # AWS takes a tunnel up again by itself when the site's device was away.
    "dpd_timeout_action": "restart",
    "dpd_timeout_seconds": 30,
}
"""What each tunnel may agree on: IKEv2, AES-256-GCM, SHA-384 or SHA-512, elliptic curves P-384 or P-521. Absent,
AWS offers AES-128, SHA-1 and DH group 2 as well (AWS Landing Zone Accelerator's reference, read 2026-11-25)."""
KEYS = ["tunnel1PresharedKey", "tunnel2PresharedKey", "customerGatewayConfiguration"]
"""Outputs that hold a key where AWS gives it out. With the keys in Secrets Manager it should not; should it
ever, the state has them encrypted."""


class Vpn(NamedTuple):
    """What was made: outputs of ids and the ARN of the keys' secret."""

    connection_id: pulumi.Output[str]
    attachment_id: pulumi.Output[str]
    preshared_key_arn: pulumi.Output[str]


def create(
    name: str,
    *,
    parent: pulumi.Resource,
    region: str,
    gateway: pulumi.Input[str],
    peer_ip: str,
    site_asn: int,
    log_days: int,
    where: str,
    tags: dict[str, str],
) -> Vpn:
    """The site's end, the connection with its two tunnels, and the log that both write to."""
    from pulumi_aws import ec2, get_caller_identity_output

    child = pulumi.ResourceOptions(parent=parent)
    asn_argument = {"bgp_asn" if site_asn <= LARGEST_PLAIN_ASN else "bgp_asn_extended": str(site_asn)}
    peer = ec2.CustomerGateway(
        f"{name}-peer",
        type="ipsec.1",
        ip_address=peer_ip,
        tags={**tags, "Name": name},
        opts=child,
        **asn_argument,
    )
    account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=parent)).account_id
    log = sealed_log_group(
        f"{name}-tunnel",
        f"/isthmus/link/{name}/tunnel-",
        region=region,
        account=account,
        days=log_days,
        where=f"{where}.log_days",
        tags=tags,
        opts=child,
    )
    options = {
        "cloudwatch_log_options": {
            "log_enabled": True,
            "log_group_arn": log.arn,
            "log_output_format": "json",
        }
    }
    tunnels: dict[str, Any] = {
        f"tunnel{tunnel}_{key}": value
        for tunnel in TUNNELS
        for key, value in {**STRONG, "log_options": options}.items()
    }
    connection = ec2.VpnConnection(
        f"{name}-vpn",
        type="ipsec.1",
        customer_gateway_id=peer.id,
        transit_gateway_id=gateway,
        # BGP, so that a tunnel that dies loses its routes.
        static_routes_only=False,
        preshared_key_storage="SecretsManager",
        tags={**tags, "Name": name},
        opts=pulumi.ResourceOptions(parent=parent, additional_secret_outputs=KEYS),
        **tunnels,
    )
    return Vpn(connection.id, connection.transit_gateway_attachment_id, connection.preshared_key_arn)
