"""Signatures that `ssh-keygen -Y sign` writes, checked: Ed25519 keys only. No I/O.

Format: OpenSSH's PROTOCOL.sshsig, version 1. The message is hashed and framed with what it was signed for, so that a
signature for a commit or a file is none for anything else.
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
        raise InputError("this is no signature of ssh-keygen", fix="`ssh-keygen -Y sign` writes one")
    blob = _decoded("".join(body[len(_BEGIN) : -len(_END)].split()), "the signature")
    if blob[:6] != _MAGIC or blob[6:10] != struct.pack(">I", 1):
        raise InputError("this is no signature of version 1 of ssh-keygen's")
    by, name, reserved, hashed, signature = _strings(blob[10:], 5)
    if by != key:
        raise InputError("another key has signed")
    if name != namespace.encode():
        raise InputError(f"it was signed for `{name.decode('ascii', 'replace')}`, not for `{namespace}`")
    if hashed not in _HASHES:
        raise InputError("it is of a hash that is not taken")
    kind, raw = _strings(signature, 2)
    ours, public = _strings(key, 2)
    if (kind, ours) != (_KIND, _KIND) or len(public) != 32:
        raise InputError("it is of no Ed25519 key")
    digest = _HASHES[hashed](text.encode()).digest()
    framed = _MAGIC + b"".join(map(_string, (name, reserved, hashed, digest)))
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(raw, framed)
    except InvalidSignature:
        raise InputError("it is of another text, or was changed") from None


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"{what} is cut off or changed") from None


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _strings(blob: bytes, count: int) -> list[bytes]:
    """`count` strings with their lengths before them, and nothing after."""
    found = []
    for _ in range(count):
        if len(blob) < 4 or len(blob) < 4 + (size := struct.unpack(">I", blob[:4])[0]):
            raise InputError("it is cut off")
        found.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    if blob:
        raise InputError("there is more in it than a signature")
    return found
