"""A mail relay of this machine, in place of the organisation's: `python -m sandbox.local.mail_relay PORT FOLDER`.

It listens on the loopback, delivers nothing, and writes each mail that it takes to a file of FOLDER
(`0001-RECIPIENT.eml`).
"""

from __future__ import annotations

import re
import socketserver
import sys
import threading
from email import message_from_bytes, policy
from pathlib import Path

LOOPBACK = "127.0.0.1"
MOST_BYTES = 1024 * 1024
"""Size of a mail at most."""


class MailRelay(socketserver.ThreadingTCPServer):
    """The relay. `serve_forever` runs it."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, folder: Path) -> None:
        """`port`: 0 for any that is free. `folder`: is created."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._writing = threading.Lock()
        super().__init__((LOOPBACK, port), _Session)

    def keep(self, content: bytes) -> Path:
        """Write a mail to the next file, readable by this user only."""
        recipient = str(message_from_bytes(content, policy=policy.default)["to"] or "nobody")
        name = re.sub(r"[^A-Za-z0-9@._-]+", "-", recipient)[:80].strip("-.")
        with self._writing:
            file = self.folder / f"{len(list(self.folder.glob('*.eml'))) + 1:04}-{name}.eml"
            unfinished = file.with_suffix(".unfinished")
            unfinished.touch(mode=0o600)
            unfinished.write_bytes(content)
            unfinished.replace(file)
        return file


class _Session(socketserver.StreamRequestHandler):
    """One connection: the commands of SMTP (RFC 5321) that a sender of one mail uses."""

    server: MailRelay  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = 60

    def handle(self) -> None:
        self._say("220 sandbox")
        while line := self.rfile.readline(1000):
            command = line[:4].upper()
            if command == b"QUIT":
                self._say("221 bye")
                return
            if command == b"DATA":
                self._say("354 go on")
                self._take()
            else:
                self._say("250 ok")

    def _take(self) -> None:
        content = bytearray()
        while (line := self.rfile.readline(MOST_BYTES)) not in (b".\r\n", b""):
            if len(content) <= MOST_BYTES:
                content += line[1:] if line.startswith(b".") else line
        if len(content) > MOST_BYTES:
            self._say("552 too large")
            return
        self.server.keep(bytes(content))
        self._say("250 ok")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


def main() -> None:
    """Serve until SIGTERM."""
    with MailRelay(int(sys.argv[1]), Path(sys.argv[2])) as relay:
        relay.serve_forever()


if __name__ == "__main__":
    main()
