"""An act upon a held answer as the audit's chain bears it: who, when, why, and the digest of the ciphertext."""

from __future__ import annotations

from typing import Any

from edge.audit.records import digest


def fields(
    held_id: str, act: str, *, actor: dict[str, str], state: str, version: int, reason: str, line: bytes
) -> dict[str, Any]:
    """Of a record of kind `review`, beside class, site and gateway. `reason` is a code, never a person's prose."""
    return {
        "id": held_id,
        "act": act,
        "who": actor,
        "state": state,
        "version": version,
        "reason": reason,
        "sha256": digest(line),
    }
