"""A certificate authority of the tests, and a signer of requests to IAM Roles Anywhere.

The signer is written after AWS's user guide, apart from the code that verifies it: its canonical request
comes from botocore's own Signature Version 4.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, with the authorities between it and the anchor."""

    certificate: x509.Certificate
    key: Any
    chain: tuple[x509.Certificate, ...] = ()


class Authority:
    """One that signs, alone or below another."""

    def __init__(
        self,
        name: str,
        above: Authority | None = None,
        key: Any = None,
        before: datetime.timedelta = DAY,
        after: datetime.timedelta = 30 * DAY,
        is_authority: bool = True,
        usage: x509.KeyUsage | None = None,
        says_usage: bool = True,
    ) -> None:
        self.key = key or ec_key()
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._above = above
        usages = (usage or usage_of(key_cert_sign=True, crl_sign=True),) if says_usage else ()
        self.certificate = _build(
            self.name,
            self.key.public_key(),
            above or self,
            before,
            after,
            (x509.BasicConstraints(ca=is_authority, path_length=None), *usages),
        )

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(
        self,
        common_name: str,
        dns: str | None = None,
        key: Any = None,
        before: datetime.timedelta = DAY,
        after: datetime.timedelta = DAY,
        signs: bool = True,
        is_authority: bool = False,
    ) -> Identity:
        """A certificate for `common_name`, valid from `before` ago for `after` more."""
        key = key or ec_key()
        subject = [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bank"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
        usage = usage_of(digital_signature=signs, key_cert_sign=is_authority, key_encipherment=not signs)
        certificate = _build(
            x509.Name(subject),
            key.public_key(),
            self,
            before,
            after,
            (
                x509.BasicConstraints(ca=is_authority, path_length=None),
                usage,
                x509.SubjectAlternativeName([x509.DNSName(dns or common_name)]),
            ),
        )
        chain = (self.certificate,) if self._above else ()
        return Identity(certificate, key, chain)


def usage_of(**allowed: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names})


def _build(
    subject: x509.Name,
    key: Any,
    by: Authority,
    before: datetime.timedelta,
    after: datetime.timedelta,
    extensions: tuple[Any, ...],
) -> x509.Certificate:
    created = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - before)
        .not_valid_after(_now() + after)
    )
    for extension in extensions:
        created = created.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return created.sign(by.key, hashes.SHA256())


def encoded(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


def _signature(key: Any, text: bytes) -> tuple[str, bytes]:
    if isinstance(key, rsa.RSAPrivateKey):
        return "AWS4-X509-RSA-SHA256", key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    return "AWS4-X509-ECDSA-SHA256", key.sign(text, ec.ECDSA(hashes.SHA256()))


def create_session(
    url: str,
    identity: Identity,
    arns: dict[str, str],
    body: dict[str, Any] | None = None,
    region: str = "eu-central-1",
    late: datetime.timedelta = datetime.timedelta(0),
    change: dict[str, str] | None = None,
    in_query: bool = True,
    serial: int | None = None,
) -> tuple[int, dict[str, Any], str]:
    """Status, answer and error code of a signed `CreateSession`.

    `late` dates the signature back; `change` alters headers after signing; `in_query` as the helper does;
    `serial` is said in place of the certificate's own.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    moment = (_now() - late).strftime("%Y%m%dT%H%M%SZ")
    data = json.dumps({**(body or {}), **({} if in_query else arns)}).encode()
    target = f"{url}/sessions" + (f"?{urlencode(arns)}" if in_query else "")
    headers = {
        "Content-Type": "application/json",
        "X-Amz-Date": moment,
        "X-Amz-X509": encoded(identity.certificate),
    }
    if identity.chain:
        headers["X-Amz-X509-Chain"] = ",".join(encoded(one) for one in identity.chain)
    request = AWSRequest("POST", target, headers=headers, data=data)
    request.context["timestamp"] = moment
    signer = SigV4Auth(None, "rolesanywhere", region)
    text = signer.canonical_request(request)
    scope = f"{moment[:8]}/{region}/rolesanywhere/aws4_request"
    algorithm, _ = _signature(identity.key, b"")
    to_sign = "\n".join((algorithm, moment, scope, hashlib.sha256(text.encode()).hexdigest()))
    signed = signer.signed_headers(signer.headers_to_sign(request))
    signature = _signature(identity.key, to_sign.encode())[1].hex()
    credential = f"{serial or identity.certificate.serial_number}/{scope}"
    headers["Authorization"] = (
        f"{algorithm} Credential={credential}, SignedHeaders={signed}, Signature={signature}"
    )
    sent = urllib.request.Request(target, data=data, headers=headers | (change or {}), method="POST")
    try:
        with urllib.request.urlopen(sent, timeout=10) as answer:
            return answer.status, json.load(answer), ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), str(error.headers.get("x-amzn-ErrorType"))
