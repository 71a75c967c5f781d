"""`python -m tests.edge.audit.writing RECORDS WHO COUNT`: one writer process, for tests that kill it.

It writes intents and outcomes like a gateway, several in each commit. On standard output it reports the number of
durable records, line by line.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from edge.audit.chain_files import Writer, new_name, now
from tests.edge.audit.harness import OPENING, intent, outcome

AT_ONCE = 50
"""Number of concurrent requests."""
PAUSE_S = 0.01
"""Pause after each commit in seconds, so that a kill comes during the work."""


def main(records: Path, name: str, count: int) -> None:
    writer = Writer(records, new_name(name), {**OPENING, "gateway": name}, 4 * 1024 * 1024)
    durable = 1
    while durable < count:
        names = [f"{name}-{durable + offset:08d}" for offset in range(AT_ONCE)]
        for kind, make in (("intent", intent), ("outcome", outcome)):
            writer.commit([writer.chain.write(kind, now(), make(name)) for name in names])
            durable += AT_ONCE
            print(durable, flush=True)
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
