"""The stand-ins' process: `python -m sandbox.operators --server URL --pki FOLDER`.

It looks at the cluster whenever something that it cares for has changed, and ends by itself when the API
server has been away for long.
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path

import httpx

from isthmus.core.errors import IsthmusError
from sandbox.cluster.client import KubeClient
from sandbox.operators import groups, labels, mig

AWAY_S = 300.0
"""A server that does not answer for so long is not coming back."""
IDLE_S = 20.0
"""It looks so often though nothing seems to have changed: a watch may have missed something."""
WATCHED = {
    groups.Controller: (groups.SETS, f"/api/v1/pods?labelSelector={labels.NAME}"),
    mig.Manager: (mig.GPU_NODES, mig.CONFIG_MAPS),
}
"""What each stand-in cares for."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--pki", required=True, type=Path)
    given = parser.parse_args()
    ca, certificate, key = (
        (given.pki / name).read_text("utf-8") for name in ("ca.crt", "admin.crt", "admin.key")
    )
    with KubeClient(given.server, ca, certificate, key) as client:
        workers = []
        for controller, paths in WATCHED.items():
            changed = threading.Event()
            for path in paths:
                threading.Thread(target=_watch, args=(client, path, changed), daemon=True).start()
            workers.append(threading.Thread(target=_work, args=(client, controller(client), changed)))
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def _work(client: KubeClient, controller: groups.Controller | mig.Manager, changed: threading.Event) -> None:
    answered = time.monotonic()
    while time.monotonic() - answered < AWAY_S:
        changed.wait(IDLE_S)
        changed.clear()
        try:
            controller.reconcile()
            answered = time.monotonic()
        except IsthmusError as error:
            # Somebody else was faster, or the server is away: what is there now is looked at again.
            print(f"{time.strftime('%H:%M:%S')} {error}", flush=True)
            if client.ready():
                answered = time.monotonic()
            time.sleep(0.5)
            changed.set()


def _watch(client: KubeClient, path: str, changed: threading.Event) -> None:
    while True:
        try:
            for _ in client.changes(path):
                changed.set()
        except (IsthmusError, httpx.HTTPError):
            time.sleep(1)
        changed.set()


main()
