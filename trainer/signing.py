"""The key that signs manifests."""

from __future__ import annotations

from pathlib import Path

from edge import ssh_signatures
from trainer.errors import TrainerError


def read_key(file: Path) -> bytes:
    """The content of a private key. Raises `TrainerError` if it cannot sign."""
    try:
        private_key = file.read_bytes()
        ssh_signatures.public_key_of(private_key)
    except OSError as error:
        raise TrainerError("input", f"the file cannot be read: {error.strerror}", str(file)) from None
    except ssh_signatures.BadSignature as error:
        raise TrainerError(
            "input", str(error), str(file), "Make a key with `ssh-keygen -t ed25519 -N '' -f FILE`"
        ) from None
    return private_key
