"""Verifies requests that are signed with a certificate, and the certificate itself (IAM Roles Anywhere).

The signature is AWS's Signature Version 4 with the certificate's private key. The requirements for certificates are
those of the user guide ("The IAM Roles Anywhere authentication signing process", "trust model", read 2026-11-25).
These messages are AWS's, from public reports: `Invalid signature`, `Untrusted signing certificate`, `Untrusted
certificate. Insufficient certificate`.
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

from sandbox.aws.pages import PageRequest
from sandbox.aws.service_frame import Refused

ALGORITHMS = ("AWS4-X509-RSA-SHA256", "AWS4-X509-ECDSA-SHA256")
_AUTHORIZATION = re.compile(
    r"(?P<algorithm>AWS4-X509-[A-Z0-9-]+) Credential=(?P<serial>\d+)/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)"
    r"/rolesanywhere/aws4_request, ?SignedHeaders=(?P<headers>[a-z0-9;-]+), ?Signature=(?P<signature>(?:[0-9a-f]{2})+)"
)
_MAX_SKEW = datetime.timedelta(minutes=5)
"""Maximum age of a signature (IAM user guide, Signature Version 4: "within five minutes")."""
_MAX_DEPTH = 5
"""Maximum number of authorities between a certificate and its trust anchor."""


def denied(message: str) -> Refused:
    return Refused("AccessDeniedException", 403, message)


@dataclass(frozen=True)
class Signer:
    """The signer of a request with a valid signature. `check_trusted` decides whether to trust the certificate."""

    certificate: Any
    chain: tuple[Any, ...]
    region: str


def canonical_request(page_request: PageRequest, names: list[str]) -> str:
    """Return the canonical request of Signature Version 4. A missing header counts as empty."""
    pairs = sorted(
        (quote(key, safe="-_.~"), quote(value, safe="-_.~"))
        for key, value in parse_qsl(page_request.query, keep_blank_values=True)
    )
    headers = "".join(f"{name}:{' '.join(page_request.headers.get(name, '').split())}\n" for name in names)
    return "\n".join(
        (
            page_request.method,
            page_request.path,
            "&".join(f"{key}={value}" for key, value in pairs),
            headers,
            ";".join(names),
            hashlib.sha256(page_request.body).hexdigest(),
        )
    )


def verify_signature(page_request: PageRequest, now: datetime.datetime) -> Signer:
    """Return the signer. Raises `Refused` if the signature is not of this request, not by its key, or too old."""
    authorization = _AUTHORIZATION.fullmatch(page_request.headers.get("authorization", ""))
    if authorization is None:
        raise denied("Missing Authentication Token")
    names = authorization["headers"].split(";")
    needed = {"host", "x-amz-date", "x-amz-x509"} | ({"x-amz-x509-chain"} & set(page_request.headers))
    date = page_request.headers.get("x-amz-date", "")
    if not needed <= set(names) or names != sorted(names) or not date.startswith(authorization["date"]):
        raise denied("Invalid signature")
    try:
        moment = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        raise denied("Invalid signature") from None
    certificate = _certificate(page_request.headers.get("x-amz-x509", ""))
    chain = tuple(
        _certificate(part)
        for part in page_request.headers.get("x-amz-x509-chain", "").split(",")
        if part.strip()
    )
    scope = f"{authorization['date']}/{authorization['region']}/rolesanywhere/aws4_request"
    digest = hashlib.sha256(canonical_request(page_request, names).encode()).hexdigest()
    text = "\n".join((authorization["algorithm"], date, scope, digest))
    is_verified = _is_signed_by(
        certificate, authorization["algorithm"], bytes.fromhex(authorization["signature"]), text.encode()
    )
    if (
        not is_verified
        or int(authorization["serial"]) != certificate.serial_number
        or abs(now - moment) > _MAX_SKEW
    ):
        raise denied("Invalid signature")
    return Signer(certificate, chain, authorization["region"])


def _certificate(text: str) -> Any:
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise Refused("ValidationException", 400, "The signing certificate could not be read.") from None


def _is_signed_by(certificate: Any, algorithm: str, signature: bytes, text: bytes) -> bool:
    """Return True if the certificate's key made the signature. The algorithm must match the key."""
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


def check_trusted(signer: Signer, anchors: list[Any], now: datetime.datetime) -> None:
    """Raise `Refused` unless a chain of valid authorities leads from the certificate to a trust anchor."""
    from cryptography.x509 import verification

    _check_suitable(signer.certificate)
    ends = verification.ExtensionPolicy.permit_all()
    policy = (
        verification.PolicyBuilder()
        .store(verification.Store(anchors))
        .time(now)
        .max_chain_depth(_MAX_DEPTH)
        .extension_policies(ca_policy=_authorities(), ee_policy=ends)
    )
    try:
        policy.build_client_verifier().verify(signer.certificate, list(signer.chain))
    except verification.VerificationError:
        raise denied("Untrusted signing certificate") from None


def _authorities() -> Any:
    """Return the policy for authorities' certificates: they must be CAs, and their keys must sign certificates."""
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
    """Check an end entity's certificate: version 3, not a CA, for digital signatures, signed with SHA-256 or better."""
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


def session_tags_of(certificate: Any) -> dict[str, str]:
    """Return the session's tags by the default mapping: subject, issuer, and the first alternative name of each kind.

    Repeated attributes of a subject are joined by `/` (not verified).
    """
    from cryptography import x509

    session_tags = _names("x509Subject", certificate.subject) | _names("x509Issuer", certificate.issuer)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return session_tags
    for kind, key in ((x509.DNSName, "x509SAN/DNS"), (x509.UniformResourceIdentifier, "x509SAN/URI")):
        values = names.get_values_for_type(kind)
        if values:
            session_tags[key] = values[0]
    directory = names.get_values_for_type(x509.DirectoryName)
    return session_tags | (_names("x509SAN/Name", directory[0]) if directory else {})


def _names(prefix: str, name: Any) -> dict[str, str]:
    names: dict[str, str] = {}
    for part in name:
        key = f"{prefix}/{part.rfc4514_attribute_name}"
        names[key] = f"{names[key]}/{part.value}" if key in names else str(part.value)
    return names
