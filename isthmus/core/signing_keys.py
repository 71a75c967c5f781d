"""Reads private keys of `ssh-keygen`."""

from __future__ import annotations

from pathlib import Path

from isthmus.core.errors import InputError


def read_signing_key(file: Path, name: str, fix: str = "") -> tuple[bytes, str]:
    """A private key, and its public key as `ssh-ed25519 BASE64`.

    Args:
        file: with the private key.
        name: of the file in an error.
        fix: of a file that is no such key.

    Raises `InputError` for a file that cannot be read, and for a key that cannot sign.
    """
    from edge import ssh_signatures

    try:
        private_key = file.read_bytes()
        return private_key, ssh_signatures.public_key_of(private_key)
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror})", where=str(file)) from None
    except ssh_signatures.BadSignature as error:
        raise InputError(str(error), where=str(file), fix=fix) from None
