"""Creates cert-manager Certificates, or uses a Secret of the organisation. Keys are never created here."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import custom_resource, dns_name, metadata
from components.cluster.workload_names import WorkloadNames
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
    """Create the certificate of `service`. Returns the name of its Secret, and the resources that were created.

    `client`: the certificate also authenticates the service to others (a gateway to a model server). Raises
    `InputError` if neither a Secret nor an issuer is named.
    """
    if secret:
        return secret, []
    spec = _serving_spec([dns_name(service, namespace)], client=client)
    return _create_certificate(
        f"{name}-certificate", f"{service}-tls", service, namespace, own_labels, opts, issuer, spec
    )


def workload_certificate(
    names: WorkloadNames, *, issuer: CertificateIssuer | None, secret: str | None, client: bool
) -> tuple[str, list[pulumi.Resource]]:
    """The same as `certificate`, for the Service of a workload."""
    return certificate(
        names.name,
        names.service,
        names.namespace,
        names.labels,
        names.options,
        issuer=issuer,
        secret=secret,
        client=client,
    )


def gateway_certificate(
    names: WorkloadNames, names_outside: Sequence[str], issuer: CertificateIssuer | None, secret: str | None
) -> tuple[str, list[pulumi.Resource]]:
    """The same as `certificate`, for a gateway, which is also a client. `names_outside`: names that callers outside
    the cluster use.
    """
    if secret:
        return secret, []
    spec = _serving_spec([dns_name(names.service, names.namespace), *names_outside], client=True)
    resource, secret_name = f"{names.name}-certificate", f"{names.service}-tls"
    return _create_certificate(
        resource, secret_name, names.service, names.namespace, names.labels, names.options, issuer, spec
    )


def _serving_spec(dns_names: list[str], *, client: bool) -> dict[str, Any]:
    return {
        "dnsNames": dns_names,
        "usages": ["digital signature", "server auth", *(["client auth"] if client else [])],
        "duration": "2160h0m0s",
        "renewBefore": "720h0m0s",
    }


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
    """The same as `certificate`, for a pod that authenticates to AWS. Its name is the subject in the role's trust
    policy.

    It is separate from the serving certificate: it is short-lived, and another CA may sign it.
    """
    if secret:
        return secret, []
    subject = dns_name(service, namespace)
    spec = {
        "commonName": subject,
        "dnsNames": [subject],
        "usages": ["digital signature", "client auth"],
        "duration": f"{hours}h0m0s",
        "renewBefore": f"{hours * 60 // 3}m0s",
    }
    secret_name = f"{service}-identity"
    return _create_certificate(
        f"{name}-identity", secret_name, service, namespace, own_labels, opts, issuer, spec
    )


def _create_certificate(
    resource: str,
    secret_name: str,
    service: str,
    namespace: str,
    own_labels: dict[str, str],
    opts: pulumi.ResourceOptions,
    issuer: CertificateIssuer | None,
    spec: dict[str, Any],
) -> tuple[str, list[pulumi.Resource]]:
    if not issuer:
        raise InputError(
            f"no certificate for '{service}': neither a cert-manager issuer nor a Secret is set",
            where=service,
            fix="Set `issuer` or `certificate_secret`",
        )
    certificate_spec: dict[str, Any] = {
        "secretName": secret_name,
        **spec,
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "revisionHistoryLimit": 3,
        "issuerRef": {
            "name": issuer["name"],
            "kind": issuer.get("kind", "ClusterIssuer"),
            "group": "cert-manager.io",
        },
    }
    meta = metadata(secret_name, own_labels, namespace=namespace)
    return secret_name, [
        custom_resource(resource, "cert-manager.io/v1", "Certificate", meta, {"spec": certificate_spec}, opts)
    ]
