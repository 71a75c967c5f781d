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

_ISSUER = ("cert-manager.io/issuer-name", "cert-manager.io/issuer-kind")
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


def bearers(platform: Platform) -> Iterator[Bearer]:
    """Who shows a certificate to AWS: each gateway's translator with an identity."""
    identities = {one.name: one for one in platform.identities}
    trusts = {one.name: one for one in platform.trust}
    for gateway in platform.gateways:
        identity = identities.get(gateway.identity or "")
        trust = trusts.get(identity.trust or "") if identity else None
        if identity is None or trust is None or trust.mode == "off":
            continue
        namespace, service = f"isthmus-{identity.class_}", f"{identity.class_}-translator"
        secret = identity.certificate_secret or f"{service}-identity"
        subject = f"{service}.{namespace}.svc"
        yield Bearer(gateway.site, identity, trust, namespace, secret, subject)


def check(platform: Platform, reached: dict[str, Cluster], now: datetime.datetime | None = None) -> list[str]:
    """Hold each certificate that is there to its trust; what to know besides, a line each.

    Raises `Refused` for one that AWS would refuse, `EnvironmentFault` for a Secret that the organisation
    was to put into a namespace that there is. What cert-manager renews after this run is only told.
    """
    told: list[str] = []
    for one in bearers(platform):
        if one.site in reached:
            line = _held(one, reached[one.site], now or datetime.datetime.now(datetime.UTC))
            told += [line] if line else []
    return told


def _held(one: Bearer, cluster: Cluster, now: datetime.datetime) -> str | None:
    try:
        found = cluster.find(f"/api/v1/namespaces/{one.namespace}/secrets/{one.secret}")
        if found is None:
            return _missing(one, cluster)
    except ApiRefusal as refused:
        return f"{one.where}: its certificate cannot be looked at ({refused}), so whether AWS takes it is not known"
    pem = _certificate(one, found)
    if one.identity.certificate_secret is None and not _same_issuer(one, found):
        return (
            f"{one.where}: another issuer signed the certificate that is there; cert-manager is to replace it"
        )
    if one.trust.ca_certificates and one.trust.mode == "manage":
        certificate_authorities.check_signed_by(
            certificate_authorities.first_only(pem), one.trust.ca_certificates, one.where
        )
    try:
        certificate_authorities.check_bearer(pem, one.subject, now, one.where)
    except (Refused, InputError) as error:
        if one.identity.certificate_secret is None:
            return f"{one.where}: {error.what}; cert-manager is to replace it"
        raise
    return None


def _missing(one: Bearer, cluster: Cluster) -> str | None:
    """Of a Secret that is not there: nothing where cert-manager will make it."""
    if one.identity.certificate_secret is None:
        return None
    fix = f"Put a certificate for `{one.subject}` there, as a Secret of type kubernetes.io/tls"
    if cluster.find(f"/api/v1/namespaces/{one.namespace}") is None:
        return (
            f"{one.where}: namespace and Secret are not there; this run makes the namespace, and the translator"
            f" waits for the Secret. {fix}"
        )
    raise EnvironmentFault(
        f"identity {one.identity.name} names a Secret that is not there", where=one.where, fix=fix
    )


def _certificate(one: Bearer, secret: dict[str, Any]) -> str:
    data = secret.get("data") or {}
    for key in ("tls.crt", "tls.key"):
        if not data.get(key):
            raise EnvironmentFault(
                f"the Secret has no {key}", where=one.where, fix="It is to be one of type kubernetes.io/tls"
            )
    try:
        return base64.b64decode(data["tls.crt"], validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise EnvironmentFault("its tls.crt is no text", where=one.where, fix="Put the PEM there") from None


def _same_issuer(one: Bearer, secret: dict[str, Any]) -> bool:
    """Whether the Secret is of the issuer that the trust names: another's is replaced by this run."""
    said = (secret.get("metadata") or {}).get("annotations") or {}
    wanted = one.trust.issuer
    if wanted is None or _ISSUER[0] not in said:
        return True
    return (said[_ISSUER[0]], said.get(_ISSUER[1], wanted.kind)) == (wanted.name, wanted.kind)
