"""A certificate authority for tests, made anew in each process; its key is in memory only."""

from __future__ import annotations

import datetime
import functools
from typing import Any


def make(
    name: str = "Bank LLM identities",
    *,
    authority: bool = True,
    start: str = "2026-01-01",
    end: str = "2046-01-01",
) -> tuple[str, Any]:
    """A self-signed certificate as PEM, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    flags = {
        **dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment"), False),
        **dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False),
    }
    usage = x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **flags
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.fromisoformat(start))
        .not_valid_after(datetime.datetime.fromisoformat(end))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), key


@functools.cache
def pem() -> str:
    """The certificate of one authority, the same throughout the process."""
    return make()[0]


def aws_half(*classes: str) -> dict[str, Any]:
    """The parts of a platform at the AWS site `frankfurt`, for classes with an identity `CLASS-frankfurt`."""
    return {
        "networks": [
            {
                "name": "frankfurt",
                "site": "frankfurt",
                "mode": "manage",
                "classes": list(classes),
                "cidr": "10.80.0.0/16",
                "zones": ["eu-central-1a", "eu-central-1b"],
                "services": ["bedrock-runtime", "rolesanywhere"],
            }
        ],
        "links": [
            {
                "name": "fra1-frankfurt",
                "from": "fra1",
                "to": "frankfurt",
                "kind": "vpn",
                "classes": list(classes),
                "peer_ip": "198.51.100.10",
                "site_asn": 65010,
            }
        ],
        "trust": [
            {
                "name": "frankfurt",
                "site": "frankfurt",
                "ca_certificates": pem(),
                "issuer": {"name": "bank-identities"},
            }
        ],
        "guardrails": [
            {
                "name": f"{sensitivity}-frankfurt",
                "site": "frankfurt",
                "class": sensitivity,
                "pii": [{"name": "EMAIL", "action": "anonymize"}],
            }
            for sensitivity in classes
        ],
        "invocation_logging": [{"name": "frankfurt", "site": "frankfurt", "retention_days": 365}],
        "trails": [{"name": "frankfurt", "site": "frankfurt", "retention_days": 365}],
        "budgets": [
            {
                "name": f"{sensitivity}-frankfurt",
                "site": "frankfurt",
                "scope": "class",
                "of": sensitivity,
                "monthly_usd": 100,
                "action": "deny",
            }
            for sensitivity in classes
        ],
        "anomalies": {"mode": "manage"},
        "contacts": {"security": ["soc@bank.example"], "cost": ["cost@bank.example"]},
    }
