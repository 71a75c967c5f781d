"""The certificates by which translators are to prove to AWS who they are, as the clusters hold them already.

A certificate of a foreign issuer is found out late: pods run, and AWS refuses every session. So each Secret
that there is before a run is held to the trust anchor's authorities and to the name that the role asks for.
Its private key is neither read out of the answer nor shown.
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
from isthmus.engine.kubernetes.client import ApiRefusal

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.aws.account import Trust
    from isthmus.contracts.platform.model.platform import Identity, Platform
    from isthmus.engine.kubernetes.client import Cluster

_ISSUER_ANNOTATIONS = ("cert-manager.io/issuer-name", "cert-manager.io/issuer-kind")
"""Annotations of a Secret that cert-manager made: whom it asked."""


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
    """Who shows a certificate to AWS: each gateway's translator with an identity."""
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
    platform: Platform, reached: dict[str, Cluster], now: datetime.datetime | None = None
) -> list[str]:
    """Hold each certificate that is there to its trust; what to know besides, a line each.

    Raises `Refused` for one that AWS would refuse, `EnvironmentFault` for a Secret that the organisation
    was to put into a namespace that there is. What cert-manager renews after this run is only told.
    """
    lines: list[str] = []
    for bearer in find_bearers(platform):
        if bearer.site in reached:
            line = _check_bearer(bearer, reached[bearer.site], now or datetime.datetime.now(datetime.UTC))
            lines += [line] if line else []
    return lines


def _check_bearer(bearer: Bearer, cluster: Cluster, now: datetime.datetime) -> str | None:
    try:
        secret = cluster.find(f"/api/v1/namespaces/{bearer.namespace}/secrets/{bearer.secret}")
        if secret is None:
            return _missing_secret(bearer, cluster)
    except ApiRefusal as refused:
        return f"{bearer.where}: its certificate cannot be looked at ({refused}), so whether AWS takes it is not known"
    pem = _certificate_of(bearer, secret)
    if bearer.identity.certificate_secret is None and not _is_same_issuer(bearer, secret):
        return f"{bearer.where}: another issuer signed the certificate that is there; cert-manager is to replace it"
    if bearer.trust.ca_certificates and bearer.trust.mode == "manage":
        certificate_authorities.check_signed_by(
            certificate_authorities.first_only(pem), bearer.trust.ca_certificates, bearer.where
        )
    try:
        certificate_authorities.check_bearer(pem, bearer.subject, now, bearer.where)
    except (Refused, InputError) as error:
        if bearer.identity.certificate_secret is None:
            return f"{bearer.where}: {error.what}; cert-manager is to replace it"
        raise
    return None


def _missing_secret(bearer: Bearer, cluster: Cluster) -> str | None:
    """Of a Secret that is not there: nothing where cert-manager will make it."""
    if bearer.identity.certificate_secret is None:
        return None
    fix = f"Put a certificate for `{bearer.subject}` there, as a Secret of type kubernetes.io/tls"
    if cluster.find(f"/api/v1/namespaces/{bearer.namespace}") is None:
        return (
            f"{bearer.where}: namespace and Secret are not there; this run makes the namespace, and the translator"
            f" waits for the Secret. {fix}"
        )
    raise EnvironmentFault(
        f"identity {bearer.identity.name} names a Secret that is not there", where=bearer.where, fix=fix
    )


def _certificate_of(bearer: Bearer, secret: dict[str, Any]) -> str:
    data = secret.get("data") or {}
    for key in ("tls.crt", "tls.key"):
        if not data.get(key):
            raise EnvironmentFault(
                f"the Secret has no {key}",
                where=bearer.where,
                fix="It is to be one of type kubernetes.io/tls",
            )
    try:
        return base64.b64decode(data["tls.crt"], validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise EnvironmentFault(
            "its tls.crt is no text", where=bearer.where, fix="Put the PEM there"
        ) from None


def _is_same_issuer(bearer: Bearer, secret: dict[str, Any]) -> bool:
    """Whether the Secret is of the issuer that the trust names: another's is replaced by this run."""
    annotations = (secret.get("metadata") or {}).get("annotations") or {}
    issuer = bearer.trust.issuer
    if issuer is None or _ISSUER_ANNOTATIONS[0] not in annotations:
        return True
    return (annotations[_ISSUER_ANNOTATIONS[0]], annotations.get(_ISSUER_ANNOTATIONS[1], issuer.kind)) == (
        issuer.name,
        issuer.kind,
    )
