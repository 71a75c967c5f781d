"""Checks the certificates with which translators authenticate to AWS (IAM Roles Anywhere), before a run.

A certificate of a wrong issuer would be noticed late: pods run, and AWS refuses every session. So each existing Secret
is checked against the certificate authorities of the trust anchor and the subject that the role requires. The private
key is neither used nor shown.
"""

from __future__ import annotations

import base64
import binascii
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reference import certificate_authorities
from isthmus.core.errors import EnvironmentFault, InputError, Refused
from isthmus.core.kubernetes_client import ApiRefusal

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.aws.account import Trust
    from isthmus.contracts.platform.model.platform import Identity, Platform
    from isthmus.core.kubernetes_client import KubeClient

_ISSUER_ANNOTATIONS = ("cert-manager.io/issuer-name", "cert-manager.io/issuer-kind")
"""Annotations with the issuer of a certificate that cert-manager created."""


@dataclass(frozen=True)
class Bearer:
    """An identity's translator at a site, and the Secret with its certificate."""

    site: str
    identity: Identity
    trust: Trust
    namespace: str
    secret: str
    subject: str

    @property
    def where(self) -> str:
        return f"site {self.site} (Secret {self.namespace}/{self.secret})"


def find_bearers(platform: Platform) -> Iterator[Bearer]:
    """The translators that authenticate to AWS: one for each gateway with an identity."""
    identities = {identity.name: identity for identity in platform.identities}
    trusts = {trust.name: trust for trust in platform.trust}
    for gateway in platform.gateways:
        identity = identities.get(gateway.identity or "")
        trust = trusts.get(identity.trust or "") if identity else None
        if identity is None or trust is None or trust.mode == "off":
            continue
        namespace, service = f"isthmus-{identity.class_}", f"{identity.class_}-translator"
        secret = identity.certificate_secret or f"{service}-identity"
        subject = f"{service}.{namespace}.svc"
        yield Bearer(gateway.site, identity, trust, namespace, secret, subject)


def bearers_check(
    platform: Platform, reached: dict[str, KubeClient], now: datetime.datetime | None = None
) -> list[str]:
    """Check each existing certificate, and return warnings.

    Raises `Refused` for a certificate that AWS would refuse, `EnvironmentFault` for a missing Secret that the
    organisation must provide in an existing namespace. For certificates that cert-manager will replace, only warns.
    """
    lines: list[str] = []
    for bearer in find_bearers(platform):
        if bearer.site in reached:
            line = _check_bearer(bearer, reached[bearer.site], now or datetime.datetime.now(datetime.UTC))
            lines += [line] if line else []
    return lines


def _check_bearer(bearer: Bearer, cluster: KubeClient, now: datetime.datetime) -> str | None:
    try:
        secret = cluster.find(f"/api/v1/namespaces/{bearer.namespace}/secrets/{bearer.secret}")
        if secret is None:
            return _missing_secret(bearer, cluster)
    except ApiRefusal as refused:
        return (
            f"{bearer.where}: its certificate cannot be read ({refused.reason}), "
            "so it is unknown whether AWS accepts it"
        )
    pem = _certificate_of(bearer, secret)
    if bearer.identity.certificate_secret is None and not _is_same_issuer(bearer, secret):
        return f"{bearer.where}: another issuer signed the current certificate; cert-manager will replace it"
    if bearer.trust.ca_certificates and bearer.trust.mode == "manage":
        certificate_authorities.check_signed_by(
            certificate_authorities.first_certificate(pem), bearer.trust.ca_certificates, bearer.where
        )
    try:
        certificate_authorities.check_bearer(pem, bearer.subject, now, bearer.where)
    except (Refused, InputError) as error:
        if bearer.identity.certificate_secret is None:
            return f"{bearer.where}: {error.what}; cert-manager will replace it"
        raise
    return None


def _missing_secret(bearer: Bearer, cluster: KubeClient) -> str | None:
    """A warning or an error for a missing Secret; None if cert-manager will create it."""
    if bearer.identity.certificate_secret is None:
        return None
    fix = f"Create the Secret with a certificate for `{bearer.subject}`, type kubernetes.io/tls"
    if cluster.find(f"/api/v1/namespaces/{bearer.namespace}") is None:
        return (
            f"{bearer.where}: namespace and Secret do not exist; this run creates the namespace, and the translator"
            f" waits for the Secret. {fix}"
        )
    raise EnvironmentFault(
        f"the Secret of identity {bearer.identity.name} does not exist", where=bearer.where, fix=fix
    )


def _certificate_of(bearer: Bearer, secret: dict[str, Any]) -> str:
    data = secret.get("data") or {}
    for key in ("tls.crt", "tls.key"):
        if not data.get(key):
            raise EnvironmentFault(
                f"the Secret has no {key}",
                where=bearer.where,
                fix="Use a Secret of type kubernetes.io/tls",
            )
    try:
        return base64.b64decode(data["tls.crt"], validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise EnvironmentFault(
            "its tls.crt is not text", where=bearer.where, fix="Set it to the PEM certificate"
        ) from None


def _is_same_issuer(bearer: Bearer, secret: dict[str, Any]) -> bool:
    """Whether the trust's issuer created the Secret; otherwise this run replaces it."""
    annotations = (secret.get("metadata") or {}).get("annotations") or {}
    issuer = bearer.trust.issuer
    if issuer is None or _ISSUER_ANNOTATIONS[0] not in annotations:
        return True
    return (annotations[_ISSUER_ANNOTATIONS[0]], annotations.get(_ISSUER_ANNOTATIONS[1], issuer.kind)) == (
        issuer.name,
        issuer.kind,
    )
