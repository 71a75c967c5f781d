"""Evaluators of a project, for tests."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge import ssh_signatures
from isthmus.contracts.trust import FILE
from isthmus.core import yaml_files


def make_key(seed: int) -> bytes:
    """A private key as OpenSSH writes it. The same seed makes the same key."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed] * 32))
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


KEY, OTHER_KEY = make_key(1), make_key(2)


def write_trust(project: Path, *keys: bytes, owner: str = "model risk", **more: str) -> Path:
    """Write a trust file that names the keys as those of evaluators."""
    entries = [
        {"value": ssh_signatures.public_key_of(key), "reason": "validates models", "owner": owner, **more}
        for key in keys
    ]
    file = project / FILE
    file.write_text(yaml_files.dumps({"isthmus": "v1", "evaluators": entries}), "utf-8")
    return file
