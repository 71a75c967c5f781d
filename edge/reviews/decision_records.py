"""The audit record of an act on a held answer: who, when, why, and the digest of the ciphertext."""

from __future__ import annotations

from typing import Any

from edge.audit.records import digest


def fields(
    held_id: str,
    act: str,
    *,
    actor: dict[str, str],
    state: str,
    version: int,
    reason: str,
    line: bytes,
    planted: bool = False,
    **more: str | list[str],
) -> dict[str, Any]:
    """The fields of a record of kind `review`, except class, site and gateway.

    `reason` is a code, never free text of a person. `line` is the encrypted answer that was decided on. `planted`: it
    was never a model's answer to a caller. `more`: `answer`, the HMACs of its texts; of a case `turns`, the marks of
    its messages, `legal_basis` and `notice`.
    """
    return {
        "id": held_id,
        "act": act,
        "who": actor,
        "state": state,
        "version": version,
        "reason": reason,
        "sha256": digest(line),
        **more,
        **({"planted": True} if planted else {}),
    }
