"""Certificates: a cert-manager `Certificate`, or a Secret that the organisation names. Never made here."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.kube import custom, dns_name, metadata
from isthmus.contracts.errors import InputError


class CertificateIssuer(TypedDict):
    """The cert-manager issuer that signs gateways, translators and model servers."""

    name: str
    """Name of the issuer."""
    kind: NotRequired[str]
    """`ClusterIssuer` (the default) or `Issuer`."""


def certificate(
    name: str,
    service: str,
    namespace: str,
    own_labels: dict[str, str],
    opts: pulumi.ResourceOptions,
    *,
    issuer: CertificateIssuer | None,
    secret: str | None,
    client: bool,
) -> tuple[str, list[pulumi.Resource]]:
    """The name of the Secret that holds `service`'s certificate, and what was made for it.

    `client`: the certificate also identifies its bearer to others (a gateway to a model server).
    Raises `InputError` where neither a Secret nor an issuer is named.
    """
    if secret:
        return secret, []
    if not issuer:
        raise InputError(
            f"no certificate for '{service}': neither a cert-manager issuer nor a Secret is named",
            where=service,
            todo="Name `issuer` or `certificate_secret`",
        )
    wanted = f"{service}-tls"
    spec: dict[str, Any] = {
        "secretName": wanted,
        "dnsNames": [dns_name(service, namespace)],
        "usages": ["digital signature", "server auth", *(["client auth"] if client else [])],
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "duration": "2160h0m0s",
        "renewBefore": "720h0m0s",
        "revisionHistoryLimit": 3,
        "issuerRef": {
            "name": issuer["name"],
            "kind": issuer.get("kind", "ClusterIssuer"),
            "group": "cert-manager.io",
        },
    }
    meta = metadata(wanted, own_labels, namespace=namespace)
    made = custom(f"{name}-certificate", "cert-manager.io/v1", "Certificate", meta, {"spec": spec}, opts)
    return wanted, [made]
