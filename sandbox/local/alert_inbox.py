"""Takes alerts in place of a pager: `python -m sandbox.local.alert_inbox PORT FILE`.

It listens on the loopback as a webhook of Alertmanager, and appends a line of JSON to FILE for each alert that starts
or ends.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Notice:
    """A line of the file: an alert that started or ended."""

    status: str
    """`firing` or `resolved`."""
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def name(self) -> str:
        return self.labels["alertname"]


class AlertInbox(ThreadingHTTPServer):
    """The webhook. `serve_forever` runs it."""

    daemon_threads = True

    def __init__(self, port: int, file: Path) -> None:
        """`port`: 0 for any that is free."""
        self.file = file
        self._writing = threading.Lock()
        super().__init__((LOOPBACK, port), _Session)

    def keep(self, message: dict[str, Any]) -> None:
        """Append the alerts of a message of Alertmanager: status, labels and annotations of each."""
        alerts = message.get("alerts")
        with self._writing, self.file.open("a") as file:
            for alert in alerts if isinstance(alerts, list) else []:
                kept = {key: alert.get(key) for key in ("status", "startsAt", "labels", "annotations")}
                file.write(json.dumps(kept) + "\n")


class _Session(BaseHTTPRequestHandler):
    """One message."""

    server: AlertInbox  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            self.server.keep(json.loads(body))
            status = 200
        except (ValueError, AttributeError):
            status = 400
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def read_notices(file: Path, since: int = 0) -> list[Notice]:
    """The lines of an inbox after the first `since`; none if no alert has come."""
    lines = file.read_text().splitlines() if file.exists() else []
    read = [json.loads(line) for line in lines[since:]]
    return [Notice(line["status"], line["labels"], line["annotations"] or {}) for line in read]


def still_firing(notices: Sequence[Notice]) -> list[Notice]:
    """The alerts that started and have not ended since."""
    last = {json.dumps(notice.labels, sort_keys=True): notice for notice in notices}
    return [notice for notice in last.values() if notice.status == "firing"]


def main() -> None:
    """Serve until SIGTERM."""
    with AlertInbox(int(sys.argv[1]), Path(sys.argv[2])) as inbox:
        inbox.serve_forever()


if __name__ == "__main__":
    main()
