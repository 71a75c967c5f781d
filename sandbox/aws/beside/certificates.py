"""Requests signed with a certificate, and whether the certificate may be believed (IAM Roles Anywhere).

The signature is AWS's Signature Version 4 with the certificate's key in place of a secret one; certificates
must be as the user guide says ("The IAM Roles Anywhere authentication signing process", "trust model", read
2026-11-25). The words of the refusals are AWS's where they were seen in public reports: `Invalid signature`,
`Untrusted signing certificate`, `Untrusted certificate. Insufficient certificate`.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

from sandbox.aws.pages import Got
from sandbox.aws.service_frame import Refused

ALGORITHMS = ("AWS4-X509-RSA-SHA256", "AWS4-X509-ECDSA-SHA256")
_AUTHORIZATION = re.compile(
    r"(?P<algorithm>AWS4-X509-[A-Z0-9-]+) Credential=(?P<serial>\d+)/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)"
    r"/rolesanywhere/aws4_request, ?SignedHeaders=(?P<headers>[a-z0-9;-]+), ?Signature=(?P<signature>(?:[0-9a-f]{2})+)"
)
_SKEW = datetime.timedelta(minutes=5)
"""How old a signature may be (IAM user guide, Signature Version 4: "within five minutes")."""
_DEPTH = 5
"""Authorities between a certificate and its trust anchor, at most."""


def denied(message: str) -> Refused:
    return Refused("AccessDeniedException", 403, message)


@dataclass(frozen=True)
class Signed:
    """A request whose signature is right: who signed it is not yet known to be trusted."""

    certificate: Any
    chain: tuple[Any, ...]
    region: str


def canonical(got: Got, names: list[str]) -> str:
    """The request in Signature Version 4's one form; a header that is named and missing is empty."""
    pairs = sorted(
        (quote(key, safe="-_.~"), quote(value, safe="-_.~"))
        for key, value in parse_qsl(got.query, keep_blank_values=True)
    )
    headers = "".join(f"{name}:{' '.join(got.headers.get(name, '').split())}\n" for name in names)
    return "\n".join(
        (
            got.method,
            got.path,
            "&".join(f"{key}={value}" for key, value in pairs),
            headers,
            ";".join(names),
            hashlib.sha256(got.body).hexdigest(),
        )
    )


def signed(got: Got, now: datetime.datetime) -> Signed:
    """Who signed the request. Raises `Refused` unless the signature is of this request, by that key, and new."""
    found = _AUTHORIZATION.fullmatch(got.headers.get("authorization", ""))
    if found is None:
        raise denied("Missing Authentication Token")
    names = found["headers"].split(";")
    needed = {"host", "x-amz-date", "x-amz-x509"} | ({"x-amz-x509-chain"} & set(got.headers))
    date = got.headers.get("x-amz-date", "")
    if not needed <= set(names) or names != sorted(names) or not date.startswith(found["date"]):
        raise denied("Invalid signature")
    try:
        moment = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        raise denied("Invalid signature") from None
    certificate = _certificate(got.headers.get("x-amz-x509", ""))
    chain = tuple(
        _certificate(part) for part in got.headers.get("x-amz-x509-chain", "").split(",") if part.strip()
    )
    scope = f"{found['date']}/{found['region']}/rolesanywhere/aws4_request"
    digest = hashlib.sha256(canonical(got, names).encode()).hexdigest()
    text = "\n".join((found["algorithm"], date, scope, digest))
    fits = _verifies(certificate, found["algorithm"], bytes.fromhex(found["signature"]), text.encode())
    if not fits or int(found["serial"]) != certificate.serial_number or abs(now - moment) > _SKEW:
        raise denied("Invalid signature")
    return Signed(certificate, chain, found["region"])


def _certificate(text: str) -> Any:
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise Refused("ValidationException", 400, "The signing certificate could not be read.") from None


def _verifies(certificate: Any, algorithm: str, signature: bytes, text: bytes) -> bool:
    """Whether the certificate's key made the signature. The algorithm must be the key's own."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    key = certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm == ALGORITHMS[0]:
            key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm == ALGORITHMS[1]:
            key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def check_trusted(found: Signed, anchors: list[Any], now: datetime.datetime) -> None:
    """Raises `Refused` unless a chain of valid authorities leads from the certificate to an anchor."""
    from cryptography.x509 import verification

    _check_suitable(found.certificate)
    ends = verification.ExtensionPolicy.permit_all()
    policy = (
        verification.PolicyBuilder()
        .store(verification.Store(anchors))
        .time(now)
        .max_chain_depth(_DEPTH)
        .extension_policies(ca_policy=_authorities(), ee_policy=ends)
    )
    try:
        policy.build_client_verifier().verify(found.certificate, list(found.chain))
    except verification.VerificationError:
        raise denied("Untrusted signing certificate") from None


def _authorities() -> Any:
    """What an authority's certificate must say: that it is one, and that its key signs certificates."""
    from cryptography import x509
    from cryptography.x509.verification import Criticality, ExtensionPolicy

    def signs(policy: Any, certificate: Any, usage: Any) -> None:
        if not usage.key_cert_sign:
            raise ValueError("the authority's key may not sign certificates")

    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        .require_present(x509.KeyUsage, Criticality.AGNOSTIC, signs)
    )


def _check_suitable(certificate: Any) -> None:
    """An end's certificate: version 3, no authority, for digital signatures, signed with SHA-256 or better."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        digest = certificate.signature_hash_algorithm
    except (x509.ExtensionNotFound, ValueError):
        raise denied("Untrusted certificate. Insufficient certificate") from None
    weak = digest is None or isinstance(digest, hashes.MD5 | hashes.SHA1)
    if certificate.version is not x509.Version.v3 or basic.ca or not usage.digital_signature or weak:
        raise denied("Untrusted certificate. Insufficient certificate")


def tags(certificate: Any) -> dict[str, str]:
    """The session's tags from a certificate by the default mapping: subject, issuer and first names of each kind.

    Names that occur more than once in a subject are joined by `/` (as of knowledge, not checked).
    """
    from cryptography import x509

    made = _names("x509Subject", certificate.subject) | _names("x509Issuer", certificate.issuer)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return made
    for kind, key in ((x509.DNSName, "x509SAN/DNS"), (x509.UniformResourceIdentifier, "x509SAN/URI")):
        found = names.get_values_for_type(kind)
        if found:
            made[key] = found[0]
    directory = names.get_values_for_type(x509.DirectoryName)
    return made | (_names("x509SAN/Name", directory[0]) if directory else {})


def _names(prefix: str, name: Any) -> dict[str, str]:
    made: dict[str, str] = {}
    for part in name:
        key = f"{prefix}/{part.rfc4514_attribute_name}"
        made[key] = f"{made[key]}/{part.value}" if key in made else str(part.value)
    return made
