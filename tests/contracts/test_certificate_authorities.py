"""Which certificate authorities a trust anchor accepts, and which identity certificates they have signed."""

import warnings
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from isthmus.contracts.reference.certificate_authorities import (
    certificates_only,
    check_ca,
    check_current,
    check_signed_by,
)
from isthmus.core.errors import InputError, IsthmusError, Refused

BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)


class Authority:
    """A certificate with its key, made for a test."""

    def __init__(
        self,
        name: str = "Bank Machine CA",
        *,
        issued_by: "Authority | None" = None,
        key: Any = None,
        ca: bool | None = True,
        signs: bool | None = True,
        digest: Any = None,
        begin: datetime = BEGIN,
        end: datetime = END,
        issuer: str | None = None,
    ) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        above = issued_by.subject if issued_by else self.subject
        if issuer:
            above = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(above)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
        )
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if signs is not None:
            builder = builder.add_extension(usage(signs), critical=True)
        signer = issued_by.key if issued_by else self.key
        plain = isinstance(signer, ed25519.Ed25519PrivateKey)
        self.certificate = builder.sign(signer, None if plain else digest or hashes.SHA256())

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()


def usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


@lru_cache(maxsize=1)
def root() -> Authority:
    return Authority()


def refused(pem: str, kind: type[IsthmusError], match: str) -> None:
    with pytest.raises(IsthmusError, match=match) as caught:
        check_ca(pem, "trust.ca_certificates")
    assert type(caught.value) is kind
    assert caught.value.where == "trust.ca_certificates"
    assert caught.value.fix
    for line in pem.splitlines():
        assert "-----" in line or len(line) < 20 or line not in str(caught.value), "the text is shown"


def test_an_authority_of_the_organisation_is_accepted_with_its_subject_dates_and_fingerprint() -> None:
    (facts,) = check_ca(root().pem, "here")
    assert facts.subject == "CN=Bank Machine CA"
    assert (facts.not_before, facts.not_after) == (BEGIN, END)
    assert facts.fingerprint == "sha256:" + root().certificate.fingerprint(hashes.SHA256()).hex()


def test_two_authorities_are_accepted_in_order_and_three_are_refused() -> None:
    new, third = Authority("New CA"), Authority("Third CA")
    assert [authority.subject for authority in check_ca(root().pem + new.pem, "here")] == [
        "CN=Bank Machine CA",
        "CN=New CA",
    ]
    refused(
        root().pem + new.pem + third.pem,
        InputError,
        "3 certificates are given, but AWS accepts 2 in a trust anchor",
    )
    refused(root().pem + root().pem, InputError, "the same certificate appears twice")


def test_rsa_of_2048_bits_is_accepted_and_shorter_keys_are_refused() -> None:
    assert check_ca(Authority(key=rsa.generate_private_key(65537, 2048)).pem, "here")
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505
    refused(Authority(key=weak).pem, Refused, "RSA key of 1024 bits")


def test_short_curves_and_keys_that_aws_does_not_know_are_refused() -> None:
    refused(Authority(key=ec.generate_private_key(ec.SECP192R1())).pem, Refused, "curve of 192 bits")
    refused(Authority(key=ed25519.Ed25519PrivateKey.generate()).pem, Refused, "does not take")


# `cryptography` no longer signs so; made with `openssl req -x509 -sha1` on 2026-11-25, its key thrown away.
SHA1_RSA_CA = """-----BEGIN CERTIFICATE-----
MIIDEzCCAfugAwIBAgIUT7VgJQrv7jdpzOSI58Zf/iwYJS8wDQYJKoZIhvcNAQEF
BQAwETEPMA0GA1UEAwwGT2xkIENBMB4XDTI2MTEyNTA0MzEzMFoXDTM2MTEyMjA0
MzEzMFowETEPMA0GA1UEAwwGT2xkIENBMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A
MIIBCgKCAQEAk+r/xqzODa3ANAgEQQcTudsSHekXKfrstbghIcysA+j+Egt/R+m2
19Ic8pRGCqxcAFZN9nDJ76oAB8iKwW9N480xAMq25AOd/Lx+T94+/Gfjz6FehgBa
FirrlAHS59qbOW5HKYkPr0V4pp+gHcKpSbtU7IR+puWqZsSxIw+/fzCdKQeUF7/i
yDNY7CDFCKuaBTyW2hyZEM7lKlKKXZXd2Kj9qCobQJo+l7CZNxidH22xovk7rBzn
ISQNKSzdSUNwsR6gt/ss8PXrBh3n02+nUeFO4eP2QUqiKVJz7Om30/My6sVAhNl8
0dZP37BhmInhxoCnn3W7Zafa479/mHCzUwIDAQABo2MwYTAdBgNVHQ4EFgQUfAQh
XubXqdTl9FaaBIxhv/6xasgwHwYDVR0jBBgwFoAUfAQhXubXqdTl9FaaBIxhv/6x
asgwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAgQwDQYJKoZIhvcNAQEF
BQADggEBACZIwTSkUGqC14y17+4P73iMoLbuSgzffap9uSLE++Du4h9uWlOCWgSI
zDNyqfg4QAl52k3DhKnTjtB0f/54RmlZEjBFMh26fqv5h+ZtYuzFV1SpnKteRR/7
qMyDlUddJulZhFi66pypgVuZ6ybL011FxADZucc1b8WRrdGW/qJJ3bsLNW0WErFk
/c32ZzlTGwgEMSSKupR9WLT3aMBSQoqBoLarl76/LIOS4HcomdyqPfmfsD0JS+wU
28o4ufpuwcZGh0Vdgh+lhA6qEUNwW8WjnSwguMPkemjVyeBMgbK3sLif9lHI5gZQ
/rjXyMq7MhyPD2WB4bX0QAnJPLOgEf4=
-----END CERTIFICATE-----
"""


def test_a_signature_weaker_than_sha_256_is_refused() -> None:
    refused(Authority(digest=hashes.SHA224()).pem, Refused, "signature of SHA224")
    refused(SHA1_RSA_CA, Refused, "signature of SHA1")


@pytest.mark.parametrize("ca", [False, None])
def test_a_server_certificate_is_refused_as_an_authority(ca: bool | None) -> None:
    refused(
        Authority(ca=ca, signs=True if ca is None else None).pem,
        InputError,
        "'CN=Bank Machine CA' is not a certificate authority .basicConstraints without",
    )


@pytest.mark.parametrize("signs", [False, None])
def test_an_authority_that_may_not_sign_is_refused(signs: bool | None) -> None:
    refused(Authority(signs=signs).pem, InputError, "may not sign")


def test_a_private_key_is_refused_and_not_shown() -> None:
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        key = root().key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        refused(root().pem + key, Refused, "private key")
        refused(key.replace("-----", "----"), Refused, "private key")


@lru_cache(maxsize=1)
def web_roots() -> list[x509.Certificate]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x509.load_pem_x509_certificates(certifi.contents().encode())


def test_a_public_web_authority_is_refused() -> None:
    public = 0
    for root in web_roots():
        with pytest.raises(IsthmusError) as caught:
            check_ca(root.public_bytes(Encoding.PEM).decode(), "here")
        public += "public web authority" in str(caught.value)
    assert public > 100, "the others are refused for older rules: SHA-1, no key usage, a serial number of 0"


@pytest.mark.parametrize("part", ["subject", "issuer", "key"])
def test_an_authority_that_shares_subject_issuer_or_key_with_a_public_one_is_refused(part: str) -> None:
    public, private_authority = web_roots()[0], Authority("R99")
    pem = (
        x509.CertificateBuilder()
        .subject_name(public.subject if part == "subject" else private_authority.subject)
        .issuer_name(public.subject if part == "issuer" else private_authority.subject)
        .public_key(public.public_key() if part == "key" else private_authority.key.public_key())
        .serial_number(1)
        .not_valid_before(BEGIN)
        .not_valid_after(END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(True), critical=True)
        .sign(private_authority.key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )
    refused(pem, Refused, "public web authority")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a word",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----",
    ],
)
def test_a_text_that_is_not_a_certificate_is_refused_with_its_place(text: str) -> None:
    refused(text, InputError, "not a certificate|not PEM|cannot be read")


def test_a_truncated_certificate_is_refused_also_after_a_valid_one() -> None:
    cut = root().pem[:200]
    refused(cut, InputError, "not PEM")
    refused(root().pem + cut, InputError, "not PEM")


def test_a_text_larger_than_aws_accepts_is_refused() -> None:
    refused(root().pem + "# x\n" * 60_000, InputError, "characters, but AWS accepts at most 204,800")


def test_text_around_certificates_is_not_sent_to_aws() -> None:
    assert certificates_only(f"# the bank's\n{root().pem}subject=x\n") == root().pem
    assert check_ca(f"# the bank's\n{root().pem}", "here") == check_ca(root().pem, "here")


@given(st.text(max_size=300))
def test_any_text_without_a_certificate_is_refused_without_a_crash(text: str) -> None:
    with pytest.raises((InputError, Refused)):
        check_ca(text, "here")


@given(st.integers(0, 800), st.characters(codec="ascii"))
@example(43, "0")  # a version that there is not
def test_a_damaged_certificate_is_refused_with_the_name_of_its_setting(at: int, put: str) -> None:
    text = root().pem
    damaged = text[:at] + put + text[at + 1 :]
    try:
        check_ca(damaged, "here")
    except (InputError, Refused):
        return


def test_an_authority_outside_its_validity_period_is_refused() -> None:
    facts = check_ca(root().pem, "here")
    assert check_current(facts, date(2027, 5, 1)) == []
    with pytest.raises(Refused, match="the certificate of 'CN=Bank Machine CA' expired on 2030-01-01"):
        check_current(facts, date(2030, 1, 2), "trust")
    with pytest.raises(
        Refused, match="the certificate of 'CN=Bank Machine CA' is not valid before 2026-01-01"
    ):
        check_current(facts, datetime(2025, 12, 31, 23, 0, tzinfo=UTC))
    old = check_ca(Authority("Old CA", end=BEGIN + timedelta(days=2)).pem, "here")
    with pytest.raises(Refused, match="'CN=Old CA' expired"):
        check_current([*facts, *old], date(2027, 1, 1))


def test_an_authority_that_ends_within_thirty_days_is_returned() -> None:
    facts = check_ca(root().pem, "here")
    assert check_current(facts, date(2029, 12, 2)) == facts
    assert check_current(facts, date(2029, 12, 1)) == []


def test_a_certificate_signed_by_the_anchors_authority_is_accepted() -> None:
    leaf = Authority("internal.svc", issued_by=root(), ca=False, signs=False)
    check_signed_by(leaf.pem, root().pem, "identity")
    check_signed_by(leaf.pem, Authority("Other").pem + root().pem, "identity")


def test_a_certificate_behind_intermediates_is_accepted_only_with_all_of_them() -> None:
    first = Authority("First", issued_by=root())
    second = Authority("Second", issued_by=first)
    leaf = Authority("internal.svc", issued_by=second, ca=False, signs=False)
    check_signed_by(leaf.pem + first.pem + second.pem, root().pem, "identity")
    check_signed_by(leaf.pem, second.pem, "identity")
    with pytest.raises(Refused, match="issued by 'CN=Second'"):
        check_signed_by(leaf.pem + second.pem, root().pem, "identity")


def test_a_foreign_issuer_is_refused_even_if_it_has_the_same_name() -> None:
    stranger = Authority()
    leaf = Authority("internal.svc", issued_by=stranger, ca=False, signs=False)
    with pytest.raises(Refused, match="the trust anchor does not hold") as caught:
        check_signed_by(leaf.pem, root().pem, "identity")
    assert caught.value.where == "identity"


def test_certificates_that_issue_each_other_in_a_circle_are_refused() -> None:
    first = Authority("One", issuer="Two")
    two = Authority("Two", issued_by=first)
    with pytest.raises(Refused):
        check_signed_by(first.pem + two.pem, root().pem, "identity")
