"""Makes and verifies signatures as `ssh-keygen -Y sign` does, with Ed25519 keys only. No I/O.

Format: OpenSSH's PROTOCOL.sshsig, version 1. A signature includes a namespace, so that a signature made for another
purpose (a commit, a file) is not valid here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

_MAGIC = b"SSHSIG"
BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_KIND = b"ssh-ed25519"
_LINE = 70
"""Characters of a line of the armored signature."""
ANOTHER_KEY = "it was signed with another key"
"""Message of a `BadSignature` of somebody else."""
PUBLIC_KEY = r"^ssh-ed25519 [A-Za-z0-9+/]{68}( .*)?$"
"""Pattern of a public key as `ssh-keygen` writes it."""


class BadSignature(ValueError):
    """A signature that does not hold, or a key that cannot be used. The message says why."""


def verify(armored: str, text: str, namespace: str, public_key: str) -> None:
    """Raise `BadSignature` unless `armored` is a signature of `text`, for `namespace`, by `public_key`.

    `public_key`: a line as `ssh-keygen` writes it, `ssh-ed25519 BASE64 COMMENT`.
    """
    key = _decoded(public_key.split(" ")[1], "the public key")
    body = armored.strip()
    if not (body.startswith(BEGIN) and body.endswith(_END)):
        raise BadSignature("the text is not a signature of `ssh-keygen -Y sign`")
    blob = _decoded("".join(body[len(BEGIN) : -len(_END)].split()), "the signature")
    if blob[:6] != _MAGIC or blob[6:10] != struct.pack(">I", 1):
        raise BadSignature("the signature is not in format version 1 of `ssh-keygen` (SSHSIG)")
    signer, name, reserved, hash_name, signature = _strings(blob[10:], 5)
    if signer != key:
        raise BadSignature(ANOTHER_KEY)
    if name != namespace.encode():
        raise BadSignature(f"it was signed for `{name.decode('ascii', 'replace')}`, not for `{namespace}`")
    if hash_name not in _HASHES:
        raise BadSignature("the hash algorithm of the signature is not sha256 or sha512")
    kind, raw = _strings(signature, 2)
    key_kind, public = _strings(key, 2)
    if (kind, key_kind) != (_KIND, _KIND) or len(public) != 32:
        raise BadSignature("the key is not an Ed25519 key")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(raw, _framed(text, name, reserved, hash_name))
    except InvalidSignature:
        raise BadSignature("the signature does not match the text") from None


def sign(text: str, namespace: str, private_key: bytes) -> str:
    """The armored signature of a text. `private_key`: content of an Ed25519 key's file without a passphrase.

    Raises `BadSignature` if the key cannot be used.
    """
    key = _private(private_key)
    name, hash_name = namespace.encode(), b"sha512"
    raw = key.sign(_framed(text, name, b"", hash_name))
    signature = _string(_KIND) + _string(raw)
    fields = b"".join(map(_string, (_public_blob(key), name, b"", hash_name, signature)))
    encoded = base64.b64encode(_MAGIC + struct.pack(">I", 1) + fields).decode()
    lines = [encoded[at : at + _LINE] for at in range(0, len(encoded), _LINE)]
    return "\n".join([BEGIN, *lines, _END, ""])


def public_key_of(private_key: bytes) -> str:
    """The public key of a private one: `ssh-ed25519 BASE64`. Raises `BadSignature`."""
    return f"{_KIND.decode()} {base64.b64encode(_public_blob(_private(private_key))).decode()}"


def _private(content: bytes) -> Ed25519PrivateKey:
    try:
        key = load_ssh_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadSignature("the file is not a private key of `ssh-keygen` without a passphrase") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadSignature("the key is not an Ed25519 key")
    return key


def _public_blob(key: Ed25519PrivateKey) -> bytes:
    return _string(_KIND) + _string(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def _framed(text: str, name: bytes, reserved: bytes, hash_name: bytes) -> bytes:
    """What an Ed25519 key signs."""
    digest = _HASHES[hash_name](text.encode()).digest()
    return _MAGIC + b"".join(map(_string, (name, reserved, hash_name, digest)))


def _decoded(text: str, description: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadSignature(f"{description} is truncated or not valid base64") from None


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _strings(blob: bytes, count: int) -> list[bytes]:
    """Read `count` length-prefixed strings. Raises `BadSignature` if data is missing or left over."""
    strings = []
    for _ in range(count):
        if len(blob) < 4 or len(blob) < 4 + (size := struct.unpack(">I", blob[:4])[0]):
            raise BadSignature("the signature is truncated")
        strings.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    if blob:
        raise BadSignature("there is extra data after the signature")
    return strings
