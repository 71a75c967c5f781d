"""Checks certificate authorities and certificates for AWS identities before AWS gets them.

AWS's own demands are those of "The IAM Roles Anywhere trust model" and its quotas (user guide, read
2026-11): X.509 v3, `CA: true`, key usage Certificate Sign, SHA-256 or stronger, two certificates an anchor.
The rest is ours. `cryptography` and `certifi` are loaded when first used.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from isthmus.core.errors import EnvironmentFault, InputError, Refused

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, Name

MAX_CERTIFICATES = 2
"""Certificates an anchor, not adjustable: the second is for changing from one authority to the next."""
MAX_CHARACTERS = 204_800
"""Of the PEM as a whole (API model of `CreateTrustAnchor`, botocore)."""
MIN_RSA_BITS, MIN_EC_BITS = 2048, 256
"""Bits."""
EXPIRY_WARNING = timedelta(days=30)
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_PEM_FIX = "Use the authority's own certificates, as PEM"


@dataclass(frozen=True)
class CaFacts:
    """What is told about an authority's certificate."""

    subject: str
    """As RFC 4514 writes it, e.g. `CN=Bank Machine CA,O=Bank`."""
    not_before: datetime
    not_after: datetime
    """Both in UTC."""
    fingerprint: str
    """`sha256:` and 64 hexadecimal digits, of the certificate as DER."""


def check_ca(pem: str, where: str) -> list[CaFacts]:
    """Facts of the authorities in `pem`, in its order.

    Raises `Refused` for a private key among the text (which is not shown), a weak key or signature and a
    public web authority, `InputError` for what is no certificate or no authority and for what AWS has no
    room for. Whether they hold today is `check_current`'s to say.
    """
    certificates = _load(pem, where)
    if len(certificates) > MAX_CERTIFICATES:
        raise InputError(
            f"{len(certificates)} certificates are given, but AWS accepts {MAX_CERTIFICATES} in a trust anchor",
            where=where,
            fix="Remove root certificates if intermediates sign; a second certificate is for changing the authority",
        )
    facts = [_facts(certificate) for certificate in certificates]
    if len({fact.fingerprint for fact in facts}) < len(facts):
        raise InputError("the same certificate appears twice", where=where, fix="Remove one of them")
    for certificate, fact in zip(certificates, facts, strict=True):
        _check_authority(certificate, fact.subject, where)
        _check_strength(certificate, fact.subject, where)
        _check_private(certificate, fact.subject, where)
    return facts


def check_current(
    facts: Sequence[CaFacts], today: date, where: str = "trust.ca_certificates"
) -> list[CaFacts]:
    """Those that end within 30 days. `Refused` for one that has ended or has not begun."""
    day = today.date() if isinstance(today, datetime) else today
    for fact in facts:
        if fact.not_after.date() < day:
            raise Refused(
                f"the certificate of '{fact.subject}' expired on {fact.not_after:%Y-%m-%d}",
                where=where,
                fix="Use the authority's current certificate, and remove expired ones",
            )
        if fact.not_before.date() > day:
            raise Refused(
                f"the certificate of '{fact.subject}' is not valid before {fact.not_before:%Y-%m-%d}",
                where=where,
                fix="Use a certificate that is valid today",
            )
    return [fact for fact in facts if fact.not_after.date() - day <= EXPIRY_WARNING]


def check_signed_by(pem: str, bundle: str, where: str) -> None:
    """The first certificate in `pem` was issued by an authority of `bundle`, through the others at most.

    Raises `Refused` where it was not: AWS would refuse every session. Dates are not looked at.
    """
    chain, authorities = _load(pem, where), _load(bundle, f"{where} (authorities)")
    leaf, intermediates = chain[0], chain[1:]
    current, depth = leaf, 0
    while depth <= len(intermediates):
        if any(current == authority or _is_issued_by(current, authority) for authority in authorities):
            return
        issuer = next(
            (
                certificate
                for certificate in intermediates
                if certificate != current and _is_issued_by(current, certificate)
            ),
            None,
        )
        if issuer is None:
            break
        current, depth = issuer, depth + 1
    raise Refused(
        f"'{_name(leaf.subject)}' was issued by '{_name(leaf.issuer)}', which the trust anchor does not hold: "
        + ", ".join(f"'{_name(authority.subject)}'" for authority in authorities),
        where=where,
        fix="Add the authority that signs it to trust.ca_certificates, or use an issuer that the anchor trusts",
    )


def check_bearer(pem: str, subject: str, now: datetime, where: str) -> None:
    """The first certificate in `pem` is one by which AWS knows its bearer as `subject` at `now` (UTC).

    Raises `Refused` where AWS would refuse it: it has ended or not begun, is an authority's, is not for
    signatures, is weak, or has other names than the role's trust asks for (common name, first DNS name).
    Who issued it is `check_signed_by`'s to say.
    """
    x509 = _x509()
    leaf = _load(pem, where)[0]
    name = _name(leaf.subject)

    def refuse(message: str, fix: str = f"Issue it anew for `{subject}`") -> Refused:
        return Refused(message, where=where, fix=fix)

    if leaf.not_valid_after_utc <= now:
        raise refuse(f"the certificate of '{name}' ended on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    if leaf.not_valid_before_utc > now:
        raise refuse(f"the certificate of '{name}' begins on {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    common = [str(part.value) for part in leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    dns = _extension(leaf, x509.SubjectAlternativeName)
    names = dns.get_values_for_type(x509.DNSName) if dns else []
    if common != [subject] or names[:1] != [subject]:
        raise refuse(
            f"the certificate is of '{name}' with {_listed(names)}, and the role asks for `{subject}` as common"
            " name and first DNS name"
        )
    basic, usage = _extension(leaf, x509.BasicConstraints), _extension(leaf, x509.KeyUsage)
    if basic and basic.ca:
        raise refuse(f"'{name}' is an authority's certificate, not a bearer's")
    if not usage or not usage.digital_signature:
        raise refuse(
            f"the certificate of '{name}' is not for signatures (key usage without Digital Signature)"
        )
    _check_strength(leaf, name, where)


def first_certificate(pem: str) -> str:
    """The first certificate in `pem`, which is all that AWS's credential helper shows of a file."""
    return next(
        (f"{block.group(0)}\n" for block in _BLOCK.finditer(pem) if block.group(1) == "CERTIFICATE"), pem
    )


def certificates_only(pem: str) -> str:
    """`pem` without what stands around the certificates (names, comments): what is sent to AWS."""
    return "".join(f"{block.group(0)}\n" for block in _BLOCK.finditer(pem) if block.group(1) == "CERTIFICATE")


def _load(pem: str, where: str) -> list[Certificate]:
    """Every certificate in the text. What is wrong with it is said without a character of it."""
    if "PRIVATE KEY" in pem:
        raise Refused(
            "the text contains a private key",
            where=where,
            fix="Remove it, treat it as leaked, and issue a new key",
        )
    if len(pem) > MAX_CHARACTERS:
        raise InputError(
            f"the text has {len(pem):,} characters, but AWS accepts at most {MAX_CHARACTERS:,}",
            where=where,
            fix="Keep only the authority's own certificates, as PEM, and remove all other certificates and comments",
        )
    x509 = _x509()

    labels = [block.group(1) for block in _BLOCK.finditer(pem)]
    other_labels = sorted({label for label in labels if label != "CERTIFICATE"})
    if other_labels:
        raise InputError(f"{', '.join(other_labels)}: not a certificate", where=where, fix=_PEM_FIX)
    if not labels or pem.count("-----BEGIN") != len(labels):
        raise InputError("not PEM: BEGIN CERTIFICATE … END CERTIFICATE is missing", where=where, fix=_PEM_FIX)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what the next version of the parser refuses, we refuse now
            certificates = x509.load_pem_x509_certificates(pem.encode())
            for (
                certificate
            ) in certificates:  # parts are read when asked for: ask for all, so that none fails later
                _ = (
                    certificate.version,
                    certificate.extensions,
                    certificate.subject,
                    certificate.issuer,
                    certificate.public_key(),
                )
                _ = (
                    certificate.not_valid_before_utc,
                    certificate.not_valid_after_utc,
                    certificate.signature_hash_algorithm,
                )
    except Exception as error:  # noqa: BLE001  the parser has many kinds; their words may hold a part of the text
        kind = type(error).__name__
        raise InputError(
            f"the certificate cannot be read ({kind})", where=where, fix="Use an X.509 v3 certificate, as PEM"
        ) from None
    return certificates


def _check_authority(certificate: Certificate, subject: str, where: str) -> None:
    x509 = _x509()
    if certificate.version is not x509.Version.v3:
        raise InputError(f"'{subject}' is not an X.509 v3 certificate", where=where, fix=_PEM_FIX)
    try:
        ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        ca = False
    if not ca:
        raise InputError(
            f"'{subject}' is not a certificate authority (basicConstraints without CA: true)",
            where=where,
            fix=_PEM_FIX,
        )
    try:
        signs = certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        signs = False
    if not signs:
        raise InputError(
            f"'{subject}' may not sign certificates (key usage without Certificate Sign)",
            where=where,
            fix=_PEM_FIX,
        )


def _check_strength(certificate: Certificate, subject: str, where: str) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    key: Any = certificate.public_key()
    post_quantum = type(key).__name__.startswith("MLDSA")
    if isinstance(key, RSAPublicKey):
        weak = f"an RSA key of {key.key_size} bits" if key.key_size < MIN_RSA_BITS else ""
    elif isinstance(key, EllipticCurvePublicKey):
        weak = f"an elliptic curve of {key.key_size} bits" if key.key_size < MIN_EC_BITS else ""
    else:
        weak = "" if post_quantum else f"a key that AWS does not take ({type(key).__name__})"
    if not weak and not post_quantum:
        digest = certificate.signature_hash_algorithm
        if digest is None or digest.digest_size < 32:
            weak = f"a signature of {digest.name.upper() if digest else 'unknown digest'}"
    if weak:
        raise Refused(
            f"'{subject}' has {weak}: with it a certificate could be forged, or AWS refuses it",
            where=where,
            fix=f"Use RSA of {MIN_RSA_BITS} bits or more or ECDSA on P-256 or more, signed with SHA-256 or more",
        )


def _check_private(certificate: Certificate, subject: str, where: str) -> None:
    names, keys = _web_authorities()
    is_known = _der(certificate.subject) in names or _der(certificate.issuer) in names
    if is_known or _public_key(certificate) in keys:
        raise Refused(
            f"'{subject}' belongs to a public web authority, from which anybody can get a certificate",
            where=where,
            fix="Use a private authority of your organisation",
        )


@lru_cache(maxsize=1)
def _web_authorities() -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Names and keys of the authorities that browsers trust, as certifi's bundle has them."""
    x509 = _x509()
    import certifi

    names, keys = set[bytes](), set[bytes]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # roots older than today's rules are in the bundle
        for block in _BLOCK.finditer(certifi.contents()):
            root = x509.load_pem_x509_certificate(block.group(0).encode())
            names.add(_der(root.subject))
            keys.add(_public_key(root))
    return frozenset(names), frozenset(keys)


def _extension(certificate: Certificate, kind: Any) -> Any:
    from cryptography.x509 import ExtensionNotFound

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except ExtensionNotFound:
        return None


def _listed(names: Sequence[str]) -> str:
    return f"the DNS names {', '.join(names)}" if names else "no DNS name"


def _is_issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False  # another name, another key, a key of another kind
    return True


def _facts(certificate: Certificate) -> CaFacts:
    from cryptography.hazmat.primitives.hashes import SHA256

    return CaFacts(
        _name(certificate.subject),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        f"sha256:{certificate.fingerprint(SHA256()).hex()}",
    )


def _name(name: Name) -> str:
    return name.rfc4514_string() or "(no name)"


def _der(name: Name) -> bytes:
    return name.public_bytes()


def _public_key(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _x509() -> Any:
    try:
        import certifi  # noqa: F401
        from cryptography import x509
    except ImportError as missing:
        raise EnvironmentFault(
            f"the Python package '{missing.name}', which checks certificates, is not installed",
            fix="Install Isthmus with its dependencies",
        ) from None
    return x509
