"""Content, where a class keeps it: AES-256-GCM under the subject's key, one line of JSON for each exchange.

The chain holds the digest of the line, never of what was said; the line says by which key it opens.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import zlib
from typing import Any

from edge.audit.keys import Keys
from edge.audit.records import canonical, digest, parse

MOST_ANSWER_BYTES = 4 * 1024 * 1024
"""Of an answer so much is kept, and `cut` says so."""


class Hmacs:
    """HMACs under the site's key: the same prompt or user gives the same one, and nobody without the key can tell."""

    def __init__(self, site_key: bytes) -> None:
        self.key = site_key

    def prompt(self, request: dict[str, Any]) -> str:
        """Of what a request asks: all of its fields but how it is delivered and by whom."""
        prompt_fields = {
            field: value
            for field, value in request.items()
            if field not in ("user", "stream", "stream_options")
        }
        text = json.dumps(prompt_fields, sort_keys=True, separators=(",", ":"))
        return self._of(b"prompt", text.encode())

    def subject(self, user: str) -> str:
        """The name of a user's keys."""
        return "u-" + self._of(b"user", user.encode("utf-8", "surrogateescape"))[:32]

    def _of(self, kind: bytes, data: bytes) -> str:
        return hmac.new(self.key, b"isthmus " + kind + b" 1\n" + data, hashlib.sha256).hexdigest()


def key_name(subject: str, days: int) -> str:
    """The name of the key: whose, and for how many days."""
    return f"{subject}.{days}d"


def encrypt(
    keys: Keys, key: str, day: str, request_id: str, request: dict[str, Any], answer: bytes, cut: bool
) -> bytes:
    """The line that keeps an exchange. Raises OSError or ValueError of the keys."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    # ASCII, so that nothing that JSON may hold is lost.
    exchange = {"asked": request, "answer": base64.b64encode(answer).decode(), "cut": cut}
    plain = zlib.compress(json.dumps(exchange).encode("ascii"))
    nonce = secrets.token_bytes(12)
    data = AESGCM(keys.of(key, day)).encrypt(nonce, plain, _associated_data(request_id, key, day))
    line = {"id": request_id, "key": key, "day": day, "data": base64.b64encode(nonce + data).decode()}
    return canonical(line)


def decrypt(keys: Keys, line: bytes) -> dict[str, Any] | None:
    """What was asked and answered, or None where the key was destroyed; raises ValueError on what was altered."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    envelope = parse(line)
    key = keys.find(envelope["key"], envelope["day"])
    if key is None:
        return None
    data = base64.b64decode(envelope["data"])
    try:
        plain = AESGCM(key).decrypt(
            data[:12], data[12:], _associated_data(envelope["id"], envelope["key"], envelope["day"])
        )
    except InvalidTag:
        raise ValueError("the content was altered, or is of another key") from None
    exchange = json.loads(zlib.decompress(plain))
    return {**exchange, "answer": base64.b64decode(exchange["answer"])}


def _associated_data(request_id: str, key: str, day: str) -> bytes:
    return f"isthmus content 1 {request_id} {key} {day}".encode()


def reference(line: bytes, key: str, day: str) -> dict[str, str]:
    """What the chain says of it."""
    return {"sha256": digest(line), "key": key, "day": day}
