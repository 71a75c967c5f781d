"""Real certificates for tests: a CA, and leaf certificates with DNS names."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Authority:
    """A certificate authority with its files in a folder: `ca.crt`, and `<leaf>.crt`, `<leaf>.key`."""

    days = 1
    """For how many days new certificates are valid."""

    def __init__(self, folder: Path, name: str = "test-ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = (
            _builder(subject, subject, self._key.public_key(), self.days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.path = folder / "ca.crt"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, file: str, *dns: str) -> tuple[Path, Path]:
        """Issue a leaf certificate for client and server with these DNS names and 127.0.0.1. Overwrites its files."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        leaf = (
            _builder(subject, self._certificate.subject, key.public_key(), self.days)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        certificate_path, key_path = self.folder / f"{file}.crt", self.folder / f"{file}.key"
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        key_path.write_bytes(private)
        certificate_path.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        return certificate_path, key_path

    def revoke(self, *files: str, days: int = 1) -> Path:
        """Write a revocation list with these leaves, valid for `days`. Overwrites the file."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now - timedelta(days=2))
            .next_update(now + timedelta(days=days))
        )
        for file in files:
            leaf = x509.load_pem_x509_certificate((self.folder / f"{file}.crt").read_bytes())
            revoked = x509.RevokedCertificateBuilder().serial_number(leaf.serial_number).revocation_date(now)
            builder = builder.add_revoked_certificate(revoked.build())
        path = self.folder / "ca.crl"
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path

    def client(self, file: str | None) -> ssl.SSLContext:
        """A TLS client context that trusts this CA, with the named leaf as client certificate or without one."""
        context = ssl.create_default_context(cafile=str(self.path))
        if file is not None:
            context.load_cert_chain(self.folder / f"{file}.crt", self.folder / f"{file}.key")
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
    )
