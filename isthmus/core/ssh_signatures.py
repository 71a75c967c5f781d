"""Verifies signatures made by `ssh-keygen -Y sign`, with Ed25519 keys only. No I/O.

Format: OpenSSH's PROTOCOL.sshsig, version 1. A signature includes a namespace, so that a signature made for another
purpose (a commit, a file) is not valid here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct

from isthmus.core.errors import InputError

_MAGIC = b"SSHSIG"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_KIND = b"ssh-ed25519"


def verify(armored: str, text: str, namespace: str, public_key: str) -> None:
    """Raise `InputError` unless `armored` is a signature of `text`, for `namespace`, by `public_key`.

    `public_key`: a line as `ssh-keygen` writes it, `ssh-ed25519 BASE64 COMMENT`.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = _decoded(public_key.split(" ")[1], "the public key")
    body = armored.strip()
    if not (body.startswith(_BEGIN) and body.endswith(_END)):
        raise InputError(
            "the text is not a signature of `ssh-keygen`", fix="Sign it with `ssh-keygen -Y sign`"
        )
    blob = _decoded("".join(body[len(_BEGIN) : -len(_END)].split()), "the signature")
    if blob[:6] != _MAGIC or blob[6:10] != struct.pack(">I", 1):
        raise InputError("the signature is not in format version 1 of `ssh-keygen` (SSHSIG)")
    signer, name, reserved, hash_name, signature = _strings(blob[10:], 5)
    if signer != key:
        raise InputError("it was signed with another key")
    if name != namespace.encode():
        raise InputError(f"it was signed for `{name.decode('ascii', 'replace')}`, not for `{namespace}`")
    if hash_name not in _HASHES:
        raise InputError("the hash algorithm of the signature is not sha256 or sha512")
    kind, raw = _strings(signature, 2)
    key_kind, public = _strings(key, 2)
    if (kind, key_kind) != (_KIND, _KIND) or len(public) != 32:
        raise InputError("the key is not an Ed25519 key")
    digest = _HASHES[hash_name](text.encode()).digest()
    framed = _MAGIC + b"".join(map(_string, (name, reserved, hash_name, digest)))
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(raw, framed)
    except InvalidSignature:
        raise InputError("the signature does not match the text") from None


def _decoded(text: str, description: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(
            f"{description} is truncated or not valid base64",
            fix="Copy the whole text again, with its first and last lines",
        ) from None


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _strings(blob: bytes, count: int) -> list[bytes]:
    """Read `count` length-prefixed strings. Raises `InputError` if data is missing or left over."""
    strings = []
    for _ in range(count):
        if len(blob) < 4 or len(blob) < 4 + (size := struct.unpack(">I", blob[:4])[0]):
            raise InputError("the signature is truncated")
        strings.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    if blob:
        raise InputError("there is extra data after the signature")
    return strings
