"""Encrypts the content of exchanges: AES-256-GCM under the subject's key, one line of JSON for each exchange.

The chain holds the digest of the encrypted line, never of the content. The line names its key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import zlib
from collections.abc import Iterable
from typing import Any

from edge.audit.keys import Keys
from edge.audit.records import canonical, digest, parse
from edge.text_hmacs import AnswerHmacs, bound_hmac, hmacs_of_texts, question_of, text_digest

MOST_ANSWER_BYTES = 4 * 1024 * 1024
"""Bytes of an answer that are kept at most. `cut` marks longer answers."""


class Hmacs:
    """HMACs of prompts and users under the site's key. Without the key they cannot be linked to a prompt or user."""

    def __init__(self, site_key: bytes) -> None:
        self.key = site_key

    def prompt(self, request: dict[str, Any]) -> str:
        """HMAC of a request's fields, without `user`, `stream` and `stream_options`."""
        prompt_fields = {
            field: value
            for field, value in request.items()
            if field not in ("user", "stream", "stream_options")
        }
        text = json.dumps(prompt_fields, sort_keys=True, separators=(",", ":"))
        return self._of(b"prompt", text.encode())

    def question(self, request_id: str, request: dict[str, Any]) -> str | None:
        """HMAC of a person's last text in a request. None: it has none."""
        if (text := question_of(request)) is None:
            return None
        return bound_hmac(self.key, "question", request_id, text_digest(self.key, text))

    def answer(self, request_id: str) -> AnswerHmacs:
        """HMACs of the answer to a request, which may come in parts."""
        return AnswerHmacs(self.key, request_id)

    def answers(self, request_id: str, texts: Iterable[Any]) -> list[str]:
        """HMACs of the texts of a whole answer, one for each choice with a text."""
        return hmacs_of_texts(self.key, request_id, texts)

    def subject(self, user: str) -> str:
        """The subject of a user, which names the user's keys."""
        return "u-" + self._of(b"user", user.encode("utf-8", "surrogateescape"))[:32]

    def subject_of(self, request: dict[str, Any], request_id: str, person: str = "") -> str:
        """The subject whose keys encrypt an answer: the person or the `user` of the request, else the request."""
        user = person or request.get("user")
        return self.subject(user) if isinstance(user, str) else f"r-{request_id}"

    def _of(self, kind: bytes, data: bytes) -> str:
        return hmac.new(self.key, b"isthmus " + kind + b" 1\n" + data, hashlib.sha256).hexdigest()


def key_name(subject: str, days: int) -> str:
    """The name of a key: its subject and its retention in days."""
    return f"{subject}.{days}d"


def encrypt(
    keys: Keys,
    key: str,
    day: str,
    request_id: str,
    request: dict[str, Any],
    answer: bytes,
    cut: bool,
    about: dict[str, Any] | None = None,
) -> bytes:
    """The encrypted line of an exchange. Raises OSError or ValueError of the keys.

    `about`: what the gateway noted of the answer, for reviewers.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    # ASCII, because UTF-8 cannot encode half of a surrogate pair, which JSON may hold.
    exchange = {"asked": request, "answer": base64.b64encode(answer).decode(), "cut": cut}
    if about:
        exchange["about"] = about
    plain = zlib.compress(json.dumps(exchange).encode("ascii"))
    nonce = secrets.token_bytes(12)
    data = AESGCM(keys.of(key, day)).encrypt(nonce, plain, _associated_data(request_id, key, day))
    line = {"id": request_id, "key": key, "day": day, "data": base64.b64encode(nonce + data).decode()}
    return canonical(line)


def decrypt(keys: Keys, line: bytes) -> dict[str, Any] | None:
    """Request and answer of a line. None if the key was destroyed. Raises ValueError if the line was altered."""
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
    """The reference to a line in the outcome record."""
    return {"sha256": digest(line), "key": key, "day": day}
