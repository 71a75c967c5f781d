"""The format of seals. A seal is one object in the write-once store: a signed head line and the sealed records.

    {"body": {…}, "signature": "…"}        canonical JSON; Ed25519 over the body
    <records, writer by writer>            the very lines of the writers' files

The body names the seal before it, the end of each writer's chain, and the digest of the records. So the seals are a
chain too, and one signature covers everything before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.audit.records import Broken, canonical, digest, parse

VERSION = 1
FOLDER = "seals"
LATEST = "latest.json"
"""File of the latest head line, in the folder where gateways look for it."""
ENDED = ("closed", "crashed")


class SealBroken(Exception):
    """An object is not a seal of the given keys."""


def name(number: int) -> str:
    """A seal's name in its store."""
    return f"{FOLDER}/{number:012d}.seal"


def first_link(data_class: str, site: str) -> str:
    """What the first seal names as the seal before it."""
    return digest(f"isthmus seals {VERSION} {data_class} {site}".encode())


@dataclass(frozen=True)
class Seal:
    """A seal with a valid signature."""

    body: dict[str, Any]
    head: bytes
    payload: bytes

    @property
    def number(self) -> int:
        return self.body["seal"]

    @property
    def hash(self) -> str:
        """What the next seal names."""
        return digest(self.head)

    @property
    def writers(self) -> dict[str, dict[str, Any]]:
        return self.body["writers"]


class Signer:
    """The sealer's private key."""

    def __init__(self, pem: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(pem, None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("the key is not of Ed25519")
        self._key, self.id = key, key_id(key.public_key())
        self.public: dict[str, Any] = {self.id: key.public_key()}
        """Public keys by id whose seals the sealer continues: its own, and earlier ones that are added."""

    def head(self, body: dict[str, Any]) -> bytes:
        """The head line of a seal."""
        signature = self._key.sign(_signed(body)).hex()
        return canonical({"body": body, "signature": signature})


def _signed(body: dict[str, Any]) -> bytes:
    return b"isthmus seal 1\n" + canonical(body)


def key_id(public: Any) -> str:
    """The id of a public key in seals: its SHA-256."""
    return digest(public.public_bytes_raw())


def public_keys(pems: list[bytes]) -> dict[str, Any]:
    """Public keys by their ids; raises ValueError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key_by_id = {}
    for pem in pems:
        try:
            key = load_pem_public_key(pem)
        except UnsupportedAlgorithm as error:
            raise ValueError(str(error)) from None
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("the key is not of Ed25519")
        key_by_id[key_id(key)] = key
    return key_by_id


def read_pem(path: Path) -> dict[str, Any]:
    """The public keys in a PEM file. Raises OSError or ValueError."""
    end = b"-----END PUBLIC KEY-----"
    pieces = path.read_bytes().split(end)
    pems = [piece + end for piece in pieces[:-1]]
    if not pems:
        raise ValueError("it holds no public key in PEM")
    return public_keys(pems)


def check_head(head: bytes, keys: dict[str, Any]) -> dict[str, Any]:
    """The body of a head line that one of the keys signed. Raises SealBroken."""
    from cryptography.exceptions import InvalidSignature

    try:
        outer = parse(head)
        body, signature = outer["body"], bytes.fromhex(outer["signature"])
        if signature.hex() != outer["signature"]:  # one way to write it
            raise ValueError
        keys[body["key"]].verify(signature, _signed(body))
    except (Broken, KeyError, TypeError, ValueError):
        raise SealBroken("it is no seal of a key that was given") from None
    except InvalidSignature:
        raise SealBroken("its signature does not match") from None
    if body.get("v") != VERSION or set(outer) != {"body", "signature"}:
        raise SealBroken("it is of an unknown version")
    return body


def read(data: bytes, keys: dict[str, Any]) -> Seal:
    """The seal in an object, with signature and payload checked. Raises SealBroken."""
    head, newline, payload = data.partition(b"\n")
    body = check_head(head, keys)
    expected = body["payload"]
    if not newline or len(payload) != expected["bytes"] or digest(payload) != expected["sha256"]:
        raise SealBroken("its records are not the ones that it was signed with")
    return Seal(body, head, payload)
