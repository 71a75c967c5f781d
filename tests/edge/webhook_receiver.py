"""An application's webhook over TLS, which keeps what it gets and answers what the test wants."""

from __future__ import annotations

import socketserver
import ssl
import threading
import time
from pathlib import Path


class WebhookReceiver(socketserver.ThreadingTCPServer):
    """Listens on loopback. `answers`: for each request what is sent back; the last one goes on."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, certificate: Path, key: Path) -> None:
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        """Request line, headers in lower case, and body."""
        self.answers = [b"HTTP/1.1 204 No Content\r\n\r\n"]
        self.pause_s = 0.0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        receiver = self.server
        assert isinstance(receiver, WebhookReceiver)
        try:
            with receiver.context.wrap_socket(self.request, server_side=True) as connection:
                head, _, body = _until_head(connection).partition(b"\r\n\r\n")
                first, *lines = head.decode().split("\r\n")
                headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in lines)}
                while len(body) < int(headers["content-length"]):
                    body += connection.recv(65536)
                receiver.received.append((first, headers, body))
                answer = receiver.answers[0] if len(receiver.answers) == 1 else receiver.answers.pop(0)
                time.sleep(receiver.pause_s)
                connection.sendall(answer)
        except (OSError, ssl.SSLError):
            return  # whoever sent it has given up


def _until_head(connection: ssl.SSLSocket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    return data
