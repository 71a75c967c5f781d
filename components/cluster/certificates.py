"""Certificates: a cert-manager `Certificate`, or a Secret that the organisation names. Never made here."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import custom, dns_name, metadata
from isthmus.core.errors import InputError


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
    spec = {
        "dnsNames": [dns_name(service, namespace)],
        "usages": ["digital signature", "server auth", *(["client auth"] if client else [])],
        "duration": "2160h0m0s",
        "renewBefore": "720h0m0s",
    }
    return _made(f"{name}-certificate", f"{service}-tls", service, namespace, own_labels, opts, issuer, spec)


def identity_certificate(
    name: str,
    service: str,
    namespace: str,
    own_labels: dict[str, str],
    opts: pulumi.ResourceOptions,
    *,
    issuer: CertificateIssuer | None,
    secret: str | None,
    hours: int,
) -> tuple[str, list[pulumi.Resource]]:
    """As `certificate`, for a pod that shows it to AWS: its name is the subject that the role's trust asks for.

    Another certificate than the one that the pod serves with: another authority may sign it, and it is short-lived.
    """
    if secret:
        return secret, []
    known = dns_name(service, namespace)
    spec = {
        "commonName": known,
        "dnsNames": [known],
        "usages": ["digital signature", "client auth"],
        "duration": f"{hours}h0m0s",
        "renewBefore": f"{hours * 60 // 3}m0s",
    }
    made = f"{service}-identity"
    return _made(f"{name}-identity", made, service, namespace, own_labels, opts, issuer, spec)


def _made(
    resource: str,
    wanted: str,
    service: str,
    namespace: str,
    own_labels: dict[str, str],
    opts: pulumi.ResourceOptions,
    issuer: CertificateIssuer | None,
    spec: dict[str, Any],
) -> tuple[str, list[pulumi.Resource]]:
    if not issuer:
        raise InputError(
            f"no certificate for '{service}': neither a cert-manager issuer nor a Secret is named",
            where=service,
            fix="Name `issuer` or `certificate_secret`",
        )
    whole: dict[str, Any] = {
        "secretName": wanted,
        **spec,
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "revisionHistoryLimit": 3,
        "issuerRef": {
            "name": issuer["name"],
            "kind": issuer.get("kind", "ClusterIssuer"),
            "group": "cert-manager.io",
        },
    }
    meta = metadata(wanted, own_labels, namespace=namespace)
    return wanted, [custom(resource, "cert-manager.io/v1", "Certificate", meta, {"spec": whole}, opts)]
