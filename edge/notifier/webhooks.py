"""Sends events to applications' webhooks, as Standard Webhooks says (https://www.standardwebhooks.com).

An event names an answer and its status. The application fetches the answer with its own key. The connection goes to the
stated address only, the host's certificate is verified, and an answer of the application is never followed or kept.
Blocking; call it in a thread.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import socket
import ssl
import time
from collections.abc import Sequence
from datetime import UTC
from urllib.parse import urlsplit

from edge.config import ConfigError
from edge.config.webhooks import Webhook
from edge.notifier.messages import Delivery, SendError

TIMEOUT_S = 10.0
"""Seconds for a whole attempt."""
MOST_HEAD = 4096
"""Bytes of the application's answer that are read at most. Only its status counts."""
_PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)
_PATHS = {"review": "/v1/reviews/", "case": "/v1/cases/"}


def read_secrets(webhook: Webhook) -> list[bytes]:
    """The secrets in a webhook's file, the newest first. Raises ConfigError, OSError."""
    lines = webhook.secret.read_text(encoding="ascii", errors="replace").split()
    try:
        secrets = [
            base64.b64decode(line.removeprefix(_PREFIX), validate=True)
            for line in lines
            if line.startswith(_PREFIX)
        ]
    except binascii.Error:
        secrets = []
    if not 1 <= len(secrets) == len(lines) <= 2 or any(
        len(secret) not in _SECRET_BYTES for secret in secrets
    ):
        raise ConfigError(
            f"{webhook.secret}: must hold one or two secrets, each `whsec_` and the base64 of 24 to 64 bytes."
        )
    return secrets


def sign(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: a signature by each secret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(secret, signed, hashlib.sha256) for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def body_of(delivery: Delivery, gateway: str) -> bytes:
    """The event as JSON. It has no content."""
    kind = delivery.kind.partition(".")[0]
    event = {
        "type": delivery.kind,
        "timestamp": delivery.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "id": delivery.item,
            "status": delivery.status,
            "workload": delivery.workload,
            "link": f"{gateway}{_PATHS[kind]}{delivery.item}",
        },
    }
    return json.dumps(event, separators=(",", ":")).encode()


def send_event(webhook: Webhook, delivery: Delivery) -> None:
    """Send an event once. Raises SendError."""
    try:
        secrets = read_secrets(webhook)
    except (ConfigError, OSError):
        raise SendError("secret-unusable") from None
    body, message_id = body_of(delivery, webhook.gateway), f"msg_{delivery.id.hex}"
    timestamp = int(delivery.asked_at.timestamp())
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "user-agent": "isthmus",
        "connection": "close",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secrets, message_id, timestamp, body),
    }
    status = _post(webhook, headers, body)
    if 300 <= status < 400:
        raise SendError("redirect-refused")
    if not 200 <= status < 300:
        raise SendError("not-accepted")


def _post(webhook: Webhook, headers: dict[str, str], body: bytes) -> int:
    """Send a request to the stated address, and return the status of the answer. Raises SendError."""
    address = urlsplit(webhook.url)
    host = address.hostname or ""
    name = f"[{host}]" if ":" in host else host
    headers = {"host": name if address.port in (None, 443) else f"{name}:{address.port}", **headers}
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    lines = [f"POST {target} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
    ends = time.monotonic() + TIMEOUT_S
    try:
        context = ssl.create_default_context(cafile=None if webhook.ca is None else str(webhook.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with (
            socket.create_connection((webhook.address, address.port or 443), TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            connection.settimeout(max(0.1, ends - time.monotonic()))
            connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii") + body)
            return _status_of(connection, ends)
    except TimeoutError:
        raise SendError("timeout") from None
    except (ssl.SSLError, ssl.CertificateError):
        raise SendError("certificate-refused") from None
    except OSError:
        raise SendError("unreachable") from None


def _status_of(connection: ssl.SSLSocket, ends: float) -> int:
    """The status of an answer. Raises SendError, OSError."""
    head = b""
    while b"\r\n" not in head:
        left = ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        piece = connection.recv(MOST_HEAD - len(head))
        head += piece
        if not piece or len(head) >= MOST_HEAD:
            break
    parts = head.partition(b"\r\n")[0].split(b" ")
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit() or len(parts[1]) != 3:
        raise SendError("no-http-answer")
    return int(parts[1])
