"""A mail relay on loopback: SMTP with STARTTLS, which can be down, and which can be slow to accept a message."""

from __future__ import annotations

import email
import email.policy
import socketserver
import ssl
import threading
from email.message import EmailMessage
from pathlib import Path
from typing import Any

HEADER = "X-Isthmus-Notification"


class MailRelay(socketserver.ThreadingTCPServer):
    """The relay, running until `close`. `mails` has what it accepted, in order."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        """With `certificate` and `key` it demands STARTTLS."""
        super().__init__(("127.0.0.1", 0), _Session)
        self.context: ssl.SSLContext | None = None
        if certificate is not None:
            self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.context.load_cert_chain(certificate, key)
        self.port = self.server_address[1]
        self.mails: list[EmailMessage] = []
        self.down = False
        """Whether it refuses every session, as a relay under maintenance does (421)."""
        self.accepting = threading.Event()
        """Set once a message is accepted."""
        self.answering = threading.Event()
        """Cleared: the answer to an accepted message does not come."""
        self.answering.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def ids(self) -> list[str]:
        """The ids of the notifications, in order."""
        return [mail[HEADER] for mail in self.mails]

    def close(self) -> None:
        self.answering.set()
        self.shutdown()
        self.server_close()


class _Session(socketserver.StreamRequestHandler):
    server: MailRelay  # pyright: ignore[reportIncompatibleVariableOverride]

    def handle(self) -> None:
        if self.server.down:
            self._say("421 down for maintenance")
            return
        self._say("220 relay")
        secure = self.server.context is None
        while line := self.rfile.readline().decode().strip():
            command = line.split()[0].upper()
            if command == "QUIT":
                self._say("221 bye")
                return
            if command == "STARTTLS" and self.server.context is not None:
                self._say("220 go")
                self._secure(self.server.context)
                secure = True
            elif command == "EHLO":
                self._say("250-relay", "250 HELP" if secure else "250 STARTTLS")
            elif not secure:
                self._say("530 STARTTLS first")
            elif command == "DATA":
                self._say("354 go")
                self._take()
            else:
                self._say("250 ok")

    def _take(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        message: Any = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        self.server.mails.append(message)
        self.server.accepting.set()
        self.server.answering.wait(60)
        self._say("250 accepted")

    def _secure(self, context: ssl.SSLContext) -> None:
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)  # pyright: ignore[reportAttributeAccessIssue]

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())
